-- Acknowledge deliveries of one group and, when asked, drop what every group is done with.
-- KEYS  stream
-- ARGV  group, trim (0 or 1), entry ids...
local ids = {}
for i = 3, #ARGV do ids[#ids + 1] = ARGV[i] end
local acked = 0
if #ids > 0 then acked = redis.call('XACK', KEYS[1], ARGV[1], unpack(ids)) end

-- Entry ids are two numbers; as text, '9-1' would sort behind '10-1'.
local function less(a, b)
  local ams, aseq = a:match('(%d+)-(%d+)')
  local bms, bseq = b:match('(%d+)-(%d+)')
  if #ams ~= #bms then return #ams < #bms end
  if ams ~= bms then return ams < bms end
  if #aseq ~= #bseq then return #aseq < #bseq end
  return aseq < bseq
end

if ARGV[2] == '1' then
  local keep = nil
  for _, row in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local group = {}
    for i = 1, #row, 2 do group[row[i]] = row[i + 1] end
    local ms, seq = group['last-delivered-id']:match('(%d+)-(%d+)')
    local oldest = ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
    if group['pending'] > 0 then
      oldest = redis.call('XPENDING', KEYS[1], group['name'])[2]
    end
    if not keep or less(oldest, keep) then keep = oldest end
  end
  if keep then redis.call('XTRIM', KEYS[1], 'MINID', keep) end
end
return acked
