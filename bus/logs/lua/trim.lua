-- Drop the entries of a log up to and including one.
-- KEYS  stream, its epoch
-- ARGV  entry id, the epoch that the id is of, the id up to which its reader has trimmed it before
--       or '', a new epoch
-- Returns how many were dropped: none where the stream is another one by now; or -1, and drops
-- nothing, where there is something again up to where it was trimmed: the server lost its tail, and
-- what was appended since may have got ids that the reader has passed. It is made another epoch.
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then return 0 end
if ARGV[3] ~= '' and #redis.call('XRANGE', KEYS[1], '-', ARGV[3], 'COUNT', 1) > 0 then
  redis.call('SET', KEYS[2], ARGV[4])
  return -1
end
local ms, seq = ARGV[1]:match('^(%d+)-(%d+)$')
return redis.call('XTRIM', KEYS[1], 'MINID', ms .. '-' .. string.format('%.0f', tonumber(seq) + 1))
