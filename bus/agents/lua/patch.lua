-- Change some fields of the state that an instance wrote.
-- KEYS  state hash
-- ARGV  instance, how many fields are set, field, value..., fields to remove...
-- Returns 1, or 0 where there is no state of anybody, or 2 where it is another instance's.
local instance = redis.pcall('HGET', KEYS[1], 'instance')
if type(instance) ~= 'string' then return 0 end
if instance ~= ARGV[1] then return 2 end
local last = 2 + 2 * tonumber(ARGV[2])
for i = 3, last, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = last + 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
return 1
