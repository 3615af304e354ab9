-- A consumer's heartbeat.
-- KEYS  the group's consumers zset (by expiry time)
-- ARGV  consumer, TTL in ms
-- Returns 1 if the consumer was alive, 0 if it was not (its deliveries may be others' by now).
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
-- Redis at its maxmemory refuses a script whose first write could take memory, though what this one
-- does is what frees some: so the first write takes none.
redis.call('ZREM', KEYS[1], '')
local until_ = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
if until_ > now then return 1 end
return 0
