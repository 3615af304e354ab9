-- Who leads.
-- KEYS  see line.lua
-- Returns {note ("<fence> <JSON>"), ms until the lease runs out unless it is renewed}, or {} where
-- nobody leads.
local left = redis.call('PTTL', LOCK)
local note = redis.call('GET', NOTE)
if left < 0 or not note then return {} end
return {note, left}
