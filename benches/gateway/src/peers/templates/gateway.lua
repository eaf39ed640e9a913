-- The policy as Lua gateways hold it: tables in the memory of the worker, limits in a dictionary that workers share.

local policy = require "policy"
local bit = require "bit"

local band, byte, var, now = bit.band, string.byte, ngx.var, ngx.now
local spent = ngx.shared.spent
local gateway = {}

-- The address as a number, as `bit` makes them.
local function address()
    local first, second, third, fourth = byte(var.binary_remote_addr, 1, 4)
    return bit.bor(bit.lshift(first, 24), bit.lshift(second, 16), bit.lshift(third, 8), fourth)
end

local function may_enter(tenant)
    local from = address()
    for _, network in ipairs(tenant.networks) do
        if band(from, network.mask) == network.base then
            return true
        end
    end
    return false
end

-- The generic cell rate algorithm: when the next request would be due if all came evenly.
local function is_within_rate(tenant)
    local time = now()
    local due = spent:get(tenant.slug) or time
    if due < time then
        due = time
    end
    if due - time > tenant.tolerance then
        return false
    end
    spent:set(tenant.slug, due + tenant.interval)
    return true
end

function gateway.decide()
    local tenant = policy.hosts[var.host]
    if not tenant then
        return ngx.exit(404)
    end
    local key = var.http_x_api_key
    local caller = key and policy.keys[key]
    if not caller then
        return ngx.exit(401)
    end
    if caller ~= tenant or not may_enter(tenant) then
        return ngx.exit(403)
    end
    if not is_within_rate(tenant) then
        return ngx.exit(429)
    end
    var.tenant = tenant.slug
end

return gateway
