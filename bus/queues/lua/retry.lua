-- Hand deliveries of this consumer back to its group, to be delivered again when they are due.
-- They stay pending (so that nothing trims them and their attempts go on being counted).
-- KEYS  stream, the group's retry zset
-- ARGV  group, consumer, handled (0: no handler has seen them, so the coming delivery is not another
--       attempt), then for each: entry id, delay in ms
-- Returns how many were still this consumer's.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local count = 0
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1]
  -- What was handed back before keeps its attempts and its time.
  local before = ARGV[3] == '0' and redis.call('ZSCORE', KEYS[2], id)
  if pending and pending[2] == ARGV[2] and not before then
    redis.call('ZADD', KEYS[2], now + tonumber(ARGV[i + 1]), id)
    if ARGV[3] == '0' then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id,
        'RETRYCOUNT', math.max(0, pending[4] - 1), 'JUSTID')
    end
    count = count + 1
  end
end
return count
