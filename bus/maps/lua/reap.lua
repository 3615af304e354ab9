-- Turn keys that are due into `expired` changes, and say how far the map is.
-- KEYS, ARGV[1]  see map_entries.lua
-- Returns {id of the last change, its version, ms until a key is due, or -1}
reap(500)
return {last_change(), redis.call('GET', VERSION) or '0', next_due()}
