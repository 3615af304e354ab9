-- Where a stream ends before a position that its reader has reached, the server has lost its tail:
-- what is appended from then on may get ids that the reader has passed. It is made another epoch.
-- KEYS  stream, its epoch
-- ARGV  the position, its epoch, the new epoch
-- Returns 1 if the stream had lost its tail.
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
local last = '0-0'
local row = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #row, 2 do
  if row[i] == 'last-generated-id' then last = row[i + 1] end
end
if not less(last, ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[3])
return 1
