-- Copy an entry of a log to its dead letters, with the reason, and note it for its sender; once.
-- KEYS  dead-letter stream, mark of this rejection, the sender's rejections (or none)
-- ARGV  entry id, reason, most dead letters kept, the entry's bytes, seconds to keep the mark,
--       and for a sender: message id, type, most rejections kept, seconds to keep them
if not redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[5]) then return 0 end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*',
  'reason', ARGV[2], 'attempts', 1, 'group', '', 'entry', ARGV[1], 'e', ARGV[4])
if not KEYS[3] then return 1 end
-- Not by the clock, which may be behind the entry's id: whoever sent the entry looks from there.
local id = ARGV[1]:match('^%d+') .. '-0'
if redis.call('EXISTS', KEYS[3]) == 1 then
  local row = redis.call('XINFO', 'STREAM', KEYS[3])
  for i = 1, #row, 2 do
    if row[i] == 'last-generated-id' and not less(row[i + 1], id) then
      local ms, seq = row[i + 1]:match('(%d+)-(%d+)')
      id = ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
    end
  end
end
if id == '0-0' then id = '0-1' end
redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[8], id,
  'entry', ARGV[1], 'message', ARGV[6], 'type', ARGV[7], 'reason', ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[9])
return 1
