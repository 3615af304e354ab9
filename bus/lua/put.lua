-- Put one message with a dedupe id, a delay, or both.
-- KEYS  stream, delayed zset, dedupe key
-- ARGV  message, message id, delay in ms, dedupe TTL in ms (0: no dedupe)
-- Returns the id of the message that stands: this one's, or that of the one it repeats.
local dedupe = tonumber(ARGV[4]) > 0
if dedupe then
  local standing = redis.call('GET', KEYS[3])
  if standing then return standing end
end
local delay = tonumber(ARGV[3])
if delay > 0 then
  local time = redis.call('TIME')
  local due = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + delay
  redis.call('ZADD', KEYS[2], due, ARGV[1])
else
  redis.call('XADD', KEYS[1], '*', 'e', ARGV[1])
end
-- Remembered once it is there: a script that fails is not undone, and a put that was refused must
-- not make the next one its repetition.
if dedupe then redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[4]) end
return ARGV[2]
