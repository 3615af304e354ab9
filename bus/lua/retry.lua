-- Hand deliveries of this consumer back to its group, to be delivered again when they are due.
-- They stay pending (so that nothing trims them and their attempts go on being counted).
-- KEYS  stream, the group's retry zset
-- ARGV  group, consumer, delay in ms, handled (0: no handler has seen them, so the coming delivery
--       is not another attempt), entry ids...
-- Returns how many were still this consumer's.
local time = redis.call('TIME')
local due = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[3])
local count = 0
for i = 5, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  -- What was handed back before keeps its attempts and its time.
  local before = ARGV[4] == '0' and redis.call('ZSCORE', KEYS[2], ARGV[i])
  if pending and pending[2] == ARGV[2] and not before then
    if ARGV[4] == '0' then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i],
        'RETRYCOUNT', math.max(0, pending[4] - 1), 'JUSTID')
    end
    redis.call('ZADD', KEYS[2], due, ARGV[i])
    count = count + 1
  end
end
return count
