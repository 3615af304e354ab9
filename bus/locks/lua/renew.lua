-- Renew a lease.
-- KEYS  see line.lua
-- ARGV  token, TTL in ms
-- Returns 1 if it is still this token's.
local ttl = tonumber(ARGV[2])
if shares(ARGV[1]) then
  tidy()
  if not redis.call('ZSCORE', SHARERS, ARGV[1]) then return 0 end
  redis.call('ZADD', SHARERS, whole(now + ttl), ARGV[1])
  keep_for(SHARERS, ttl)
  return 1
end
if redis.call('GET', LOCK) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', LOCK, ARGV[2])
