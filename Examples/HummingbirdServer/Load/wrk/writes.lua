-- JSON written: products created, each of which takes the place of the oldest.
local common = require("common")
done = common.done

function init(arguments)
    math.randomseed(2)
    request = common.mixed({
        { 1, common.repeated(1000, function() return common.json("POST", "/products", common.draft()) end) },
    })
end
