-- Give a lock up, or leave the line; wake whoever is first in line if the lock is free.
-- KEYS  lock, waiters zset, waiters' liveness zset
-- ARGV  token, prefix of the instances' channels
-- Returns 1 if this token held the lock. A stranger's release changes nothing.
local held = 0
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  held = 1
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do
    redis.call('ZREM', KEYS[2], gone)
    redis.call('ZREM', KEYS[3], gone)
  end
  local first = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if first then
    redis.call('PUBLISH', ARGV[2] .. first:match('^[^:]+'), 'wake:' .. first)
  end
end
return held
