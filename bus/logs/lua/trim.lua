-- Drop the entries of a log up to and including one.
-- KEYS  stream, its epoch
-- ARGV  entry id, the epoch that the id is of
-- Returns how many were dropped: none where the stream is another one by now.
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then return 0 end
local ms, seq = ARGV[1]:match('^(%d+)-(%d+)$')
return redis.call('XTRIM', KEYS[1], 'MINID', ms .. '-' .. string.format('%.0f', tonumber(seq) + 1))
