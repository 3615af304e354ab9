-- Put one message with a dedupe id, a delay, or both.
-- KEYS  stream, delayed zset, dedupe key
-- ARGV  message, message id, delay in ms, dedupe TTL in ms (0: no dedupe)
-- Returns the id of the message that stands: this one's, or that of the one it repeats.
if tonumber(ARGV[4]) > 0 then
  if not redis.call('SET', KEYS[3], ARGV[2], 'NX', 'PX', ARGV[4]) then
    return redis.call('GET', KEYS[3])
  end
end
local delay = tonumber(ARGV[3])
if delay > 0 then
  local time = redis.call('TIME')
  local due = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + delay
  redis.call('ZADD', KEYS[2], due, ARGV[1])
else
  redis.call('XADD', KEYS[1], '*', 'e', ARGV[1])
end
return ARGV[2]
