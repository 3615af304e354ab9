-- The whole of a map, and the change up to which that is true.
-- KEYS, ARGV[1]  see map_entries.lua
-- Returns {id of the last change, its version, ms until a key is due, or -1, {key, record, ...}}
reap(1e9)
return {last_change(), redis.call('GET', VERSION) or '0', next_due(), redis.call('HGETALL', MAP)}
