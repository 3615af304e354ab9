-- Note that a delivery which consumers died of is about to be handled again.
-- KEYS  stream, the group's kills hash
-- ARGV  group, consumer, entry id
-- Returns 1, or 0 where it is not this consumer's any more.
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
if not pending or pending[2] ~= ARGV[2] then return 0 end
local kills = redis.call('HGET', KEYS[2], ARGV[3]) or ''
redis.call('HSET', KEYS[2], ARGV[3], kills:gsub(' ?>.*$', '') .. ' >' .. ARGV[2])
return 1
