-- End a run.
-- KEYS  state hash (behind growing.lua)
-- ARGV  token, how it ended: done, failed (another attempt may follow) or unclaimed (it was never
--       begun: the period is free again), ms after which another attempt may follow
-- Returns 1 if the run was this token's.
local known = redis.call('HMGET', KEYS[1], 'token', 'state', 'slot', 'attempt')
if known[1] ~= ARGV[1] or known[2] ~= 'running' then return 0 end
redis.call('HDEL', KEYS[1], '') -- see once_claim.lua
if ARGV[2] == 'unclaimed' then
  local attempt = math.max(0, (tonumber(known[4] or '1') or 1) - 1)
  redis.call('HSET', KEYS[1], 'state', 'failed', 'until', 0, 'attempt', attempt)
else
  redis.call('HSET', KEYS[1], 'state', ARGV[2], 'until', whole(now + tonumber(ARGV[3])))
end
return 1
