-- Renew the claim of a run.
-- KEYS  state hash (behind growing.lua)
-- ARGV  token, TTL in ms
-- Returns 1 if it is still this token's.
local known = redis.call('HMGET', KEYS[1], 'token', 'state', 'until')
if known[1] ~= ARGV[1] or known[2] ~= 'running' then return 0 end
if (tonumber(known[3] or '0') or 0) <= now then return 0 end
redis.call('HDEL', KEYS[1], '') -- see once_claim.lua
redis.call('HSET', KEYS[1], 'until', whole(now + tonumber(ARGV[2])))
return 1
