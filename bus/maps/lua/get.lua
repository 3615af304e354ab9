-- The record of a key of a map, or nil.
-- KEYS, ARGV[1]  see map_entries.lua
-- ARGV  ..., key
if is_due(ARGV[2]) then expire(ARGV[2]) end
return redis.call('HGET', MAP, ARGV[2])
