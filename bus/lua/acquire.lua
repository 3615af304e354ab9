-- Take a lock, or stand in line for it.
-- KEYS  lock, fence, waiters zset (by arrival), waiters' liveness zset (by expiry time)
-- ARGV  token, TTL in ms, ms for which this waiter counts as alive (0: do not wait), a fence to
--       exceed
-- Returns {1, fence} with the lock, {0, ms after which to try again} without.
-- The fence is max(last + 1, server time in us): it grows even where the counter was lost; and above
-- what the holder knows to have been seen, where the clock went back as well.
local token = ARGV[1]
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

-- Redis at its maxmemory refuses a script whose first write could take memory, though what this one
-- does is what frees some: so the first write takes none.
redis.call('ZREM', KEYS[4], '')
local holder = redis.call('GET', KEYS[1])
if holder == token then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {1, redis.call('GET', KEYS[2])}
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now)) do
  redis.call('ZREM', KEYS[3], gone)
  redis.call('ZREM', KEYS[4], gone)
end
local first = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
while first and first ~= token and not redis.call('ZSCORE', KEYS[4], first) do
  -- Its sign of life was lost, or it is not a waiter: nobody would ever move it out of the way.
  redis.call('ZREM', KEYS[3], first)
  first = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
end
if not holder and (not first or first == token) then
  local last = tonumber(redis.call('GET', KEYS[2]) or '') or 0
  local fence = string.format('%.0f', math.max(last + 1, now_us, tonumber(ARGV[4]) + 1))
  redis.call('SET', KEYS[1], token, 'PX', ARGV[2])
  redis.call('SET', KEYS[2], fence, 'EX', 604800)
  redis.call('ZREM', KEYS[3], token)
  redis.call('ZREM', KEYS[4], token)
  return {1, fence}
end
if tonumber(ARGV[3]) > 0 then
  if not redis.call('ZSCORE', KEYS[3], token) then
    redis.call('ZADD', KEYS[3], string.format('%.0f', now_us), token)
  end
  redis.call('ZADD', KEYS[4], now + tonumber(ARGV[3]), token)
  redis.call('PEXPIRE', KEYS[3], 3600000)
  redis.call('PEXPIRE', KEYS[4], 3600000)
end
if holder then return {0, redis.call('PTTL', KEYS[1])} end
return {0, math.max(1, tonumber(redis.call('ZSCORE', KEYS[4], first) or '0') - now)}
