-- Many connections at once: the shop, and bodies of 16 to 256 KiB.
local common = require("common")
done = common.done

function init(arguments)
    math.randomseed(5)
    local shop = common.shop(common.ids(arguments))
    shop[#shop + 1] = { 10, common.repeated(16, function()
        return wrk.format("POST", "/bodies", nil, common.bytes(math.random(16, 256) * 1024))
    end) }
    request = common.mixed(shop)
end
