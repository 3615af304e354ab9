-- Renew a lease.
-- KEYS  lock
-- ARGV  token, TTL in ms
-- Returns 1 if it is still this token's.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
