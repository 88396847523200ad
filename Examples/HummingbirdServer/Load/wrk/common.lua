-- What the phases share: products by id, drafts and reviews as JSON, large bodies, and the line that measure.py reads.
--
-- Requests are made once, when a thread starts, and then picked: the load generator has little to do, and what it sends
-- is the same on every run.

local common = {}

local kinds = { "lamp", "chair", "table", "kettle", "bicycle", "backpack", "notebook", "clock", "speaker", "mug" }
local materials = { "oak", "steel", "copper", "linen", "leather", "glass", "bamboo", "wool", "aluminium", "clay" }
local manners = { "quiet", "sturdy", "light", "compact", "bright", "classic", "foldable", "simple", "warm", "small" }

local function pick(words)
    return words[math.random(#words)]
end

-- The first and the last id that the catalogue has: the arguments behind `--`.
function common.ids(arguments)
    return tonumber(arguments[1]), tonumber(arguments[2])
end

function common.draft()
    local kind, material, manner = pick(kinds), pick(materials), pick(manners)
    local sentences = {}
    for i = 1, math.random(3, 8) do
        sentences[i] = string.format("A %s %s %s, %s in use and made to last for %d years.", pick(manners),
            pick(materials), kind, pick(manners), math.random(2, 31))
    end
    return string.format(
        '{"name":"%s %s %s %d","summary":"%s","price":%d,"tags":["%s","%s","%s"],' ..
        '"attributes":{"colour":"grey","weight":"%d g","supplier":"supplier-%d","sku":"SKU-%d"}}',
        manner, material, kind, math.random(100000), table.concat(sentences, " "), math.random(100, 100000),
        kind, material, manner, math.random(10, 5000), math.random(40), math.random(1000000, 2000000))
end

function common.review()
    local sentences = {}
    for i = 1, math.random(1, 4) do
        sentences[i] = string.format("The %s is %s and %s.", pick(kinds), pick(manners), pick(manners))
    end
    return string.format('{"author":"customer-%d","stars":%d,"text":"%s"}', math.random(1000), math.random(5),
        table.concat(sentences, " "))
end

function common.search()
    return "/search?limit=10&q=" .. pick(kinds) .. "+" .. pick(materials)
end

-- So many bytes that are no text.
function common.bytes(count)
    local piece = {}
    for i = 1, 1024 do
        piece[i] = string.char(math.random(0, 255))
    end
    return string.rep(table.concat(piece), math.ceil(count / 1024)):sub(1, count)
end

function common.json(method, path, body)
    return wrk.format(method, path, { ["Content-Type"] = "application/json" }, body)
end

-- Picks among requests of which each kind has its share: {{share, {request, …}}, …}.
function common.mixed(kinds_and_shares)
    local total = 0
    for _, kind in ipairs(kinds_and_shares) do
        total = total + kind[1]
    end
    return function()
        local at = math.random() * total
        for _, kind in ipairs(kinds_and_shares) do
            at = at - kind[1]
            if at < 0 then
                return kind[2][math.random(#kind[2])]
            end
        end
        local last = kinds_and_shares[#kinds_and_shares][2]
        return last[math.random(#last)]
    end
end

function common.repeated(count, make)
    local requests = {}
    for i = 1, count do
        requests[i] = make(i)
    end
    return requests
end

-- The JSON requests of a shop: mostly reads, some lists and searches, and writes that keep ids as they are.
function common.shop(first, last)
    local function product()
        return "/products/" .. math.random(first, last)
    end
    return {
        { 50, common.repeated(500, function() return wrk.format("GET", product()) end) },
        { 15, common.repeated(50, function()
            return wrk.format("GET", "/products?limit=20&after=" .. math.random(first - 1, last - 20))
        end) },
        { 15, common.repeated(100, function() return wrk.format("GET", common.search()) end) },
        { 10, common.repeated(200, function()
            return common.json("POST", product() .. "/reviews", common.review())
        end) },
        { 10, common.repeated(200, function() return common.json("PUT", product(), common.draft()) end) },
    }
end

-- What wrk calls at the end: one line of JSON.
function common.done(summary, latency, requests)
    local errors = summary.errors
    print(string.format(
        'RESULT {"requests":%d,"microseconds":%d,"bytes":%d,"p50":%d,"p99":%d,"connect":%d,"read":%d,"write":%d,' ..
        '"status":%d,"timeout":%d}',
        summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
        errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end

return common
