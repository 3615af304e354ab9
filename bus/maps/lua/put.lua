-- Put a value into a map, once, if the version that stands is the one that is wanted.
-- KEYS, ARGV[1]  see map_entries.lua
-- ARGV  ..., key, value (JSON), sender (JSON), version wanted ('': any, 0: no entry), TTL in ms (0:
--       none), tag of this write, ms since its first attempt ('' if this is it)
-- Returns {1, version, record} done; {0, version that stands, its record} refused;
--         {2, '', record} refused, as the record that stands is not one; {3, '', ''} not known
local key, value, by, wanted, ttl = ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])

return once(ARGV[7], ARGV[8], function()
  local _, refusal = standing(key, wanted)
  if refusal then return refusal end
  local version, after = next_version()
  local expires = 'null'
  if ttl > 0 then expires = string.format('%.3f', (now + ttl) / 1000) end
  local record = '{"version":' .. version .. ',"updated_at":' .. string.format('%.6f', now_us / 1e6)
    .. ',"by":' .. by .. ',"expires_at":' .. expires .. ',"value":' .. value .. '}'
  note_change('put', key, '', ARGV[7], version, after, record)
  redis.call('HSET', MAP, key, record)
  if ttl > 0 then
    redis.call('ZADD', EXPIRY, whole(now + ttl), key)
  else
    redis.call('ZREM', EXPIRY, key)
  end
  redis.call('PERSIST', CHANGES)
  return {1, version, record}
end)
