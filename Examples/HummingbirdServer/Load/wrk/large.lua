-- Large bodies: buffered as a whole, streamed, kept as images; and the whole catalogue as JSON, out and in.
local common = require("common")
done = common.done

function init(arguments)
    math.randomseed(4)
    local mebibyte = 1024 * 1024
    local drafts = {}
    for i = 1, 200 do
        drafts[i] = common.draft()
    end
    local images = common.repeated(8, function(i)
        return wrk.format("PUT", "/images/" .. i, nil, common.bytes(math.random(256 * 1024, 2 * mebibyte)))
    end)
    request = common.mixed({
        { 20, { wrk.format("POST", "/bodies", nil, common.bytes(mebibyte)) } },
        { 10, { wrk.format("POST", "/bodies", nil, common.bytes(4 * mebibyte)) } },
        { 10, { wrk.format("POST", "/bodies/stream", nil, common.bytes(4 * mebibyte)) } },
        { 10, { wrk.format("GET", "/bodies/" .. 2 * mebibyte) } },
        { 15, images },
        -- What has not been stored yet would be refused.
        { 15, { wrk.format("GET", "/images/measured") } },
        { 10, { wrk.format("GET", "/products/export") } },
        { 10, { common.json("POST", "/products/import", "[" .. table.concat(drafts, ",") .. "]") } },
    })
end
