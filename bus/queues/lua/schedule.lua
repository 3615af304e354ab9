-- Keep a schedule. One that has the same times already keeps the slot it waits for, so that a
-- program which states its schedules when it starts does not skip a slot missed meanwhile.
-- KEYS  schedules hash, schedules zset by time
-- ARGV  name, times, schedule, when its next slot is in ms
local before = redis.call('HGET', KEYS[1], ARGV[1])
local kept = before and before:sub(1, #ARGV[2] + 1) == ARGV[2] .. '\n'
  and redis.call('ZSCORE', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '\n' .. ARGV[3])
if not kept then redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1]) end
return 1
