-- Put the message of a slot, unless another consumer was first, and wait for the next slot.
-- KEYS  schedules hash, schedules zset by time, stream, counters, lanes' heads
-- ARGV  name, schedule as it was read, the slot in ms, the next one in ms ('' if there is none),
--       message, key or '', prefix of the lanes
-- Returns 1 if it was put.
if redis.call('ZSCORE', KEYS[2], ARGV[1]) ~= ARGV[3] then return 0 end
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[4] ~= '' then
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
else
  redis.call('ZREM', KEYS[2], ARGV[1])
end
local q = {stream = KEYS[3], counts = KEYS[4], lanes = KEYS[5], lane = ARGV[7]}
enter(q, ARGV[5], ARGV[6], '')
if redis.call('HEXISTS', KEYS[4], 'bytes') == 1 then
  bump(q, 'bytes', #ARGV[5])
end
return 1
