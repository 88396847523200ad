-- Small JSON answers: a product by its id.
local common = require("common")
done = common.done

function init(arguments)
    math.randomseed(1)
    local first, last = common.ids(arguments)
    request = common.mixed({
        { 1, common.repeated(1000, function() return wrk.format("GET", "/products/" .. math.random(first, last)) end) },
    })
end
