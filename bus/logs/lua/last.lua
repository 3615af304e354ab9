-- Id of the newest entry that a stream ever had.
-- KEYS  stream
if redis.call('EXISTS', KEYS[1]) == 0 then return '0-0' end
local row = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #row, 2 do
  if row[i] == 'last-generated-id' then return row[i + 1] end
end
