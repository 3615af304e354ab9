-- Keep patterns by which somebody listens, for those who publish to see.
-- KEYS  zset of patterns by the time until which they are kept
-- ARGV  ms to keep them, patterns...
-- Returns for each how many ms it had been kept for, or -1 where it was not there.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local kept = {}
for i = 2, #ARGV do
  local until_ = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]))
  kept[#kept + 1] = until_ and until_ - now or -1
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return kept
