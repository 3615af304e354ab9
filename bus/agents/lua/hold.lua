-- Note what a process holds, and what it no longer does.
-- KEYS  holdings hash
-- ARGV  seconds to keep them, how many names to remove, names..., name, how it is given up, ...
local removed = 2 + tonumber(ARGV[2])
for i = 3, removed do redis.call('HDEL', KEYS[1], ARGV[i]) end
for i = removed + 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
