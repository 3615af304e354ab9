-- Delete a key of a map, once, if the version that stands is the one that is wanted.
-- KEYS, ARGV[1]  see map_entries.lua
-- ARGV  ..., key, sender, version wanted ('': any), tag of this write, ms since its first attempt
--       ('' if this is it)
-- Returns as map_put.lua does; the version is 0 where there was nothing to delete.
local key, wanted = ARGV[2], ARGV[4]

return once(ARGV[5], ARGV[6], function()
  local before, refusal = standing(key, wanted)
  if refusal then return refusal end
  if not before then return {1, '0', ''} end
  return {1, drop('deleted', key, ARGV[3], ARGV[5]), ''}
end)
