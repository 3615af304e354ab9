-- Some of the records of a map.
-- KEYS, ARGV[1]  see map_entries.lua
-- ARGV  ..., cursor (0 at first), about how many
-- Returns {cursor of the next page (0: that was the last), {key, record, ...}}
reap(500)
local cursor, rows = unpack(redis.call('HSCAN', MAP, ARGV[2], 'COUNT', ARGV[3]))
local due = redis.call('ZCOUNT', EXPIRY, '-inf', now) > 0
local page = {}
for i = 1, #rows, 2 do
  if not (due and is_due(rows[i])) then
    page[#page + 1] = rows[i]
    page[#page + 1] = rows[i + 1]
  end
end
return {cursor, page}
