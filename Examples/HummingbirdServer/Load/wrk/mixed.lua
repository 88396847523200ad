-- A shop: products read, listed, searched, reviewed and replaced.
local common = require("common")
done = common.done

function init(arguments)
    math.randomseed(3)
    request = common.mixed(common.shop(common.ids(arguments)))
end
