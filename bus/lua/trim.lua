-- Drop the entries of a log up to and including one.
-- KEYS  stream
-- ARGV  entry id
local ms, seq = ARGV[1]:match('^(%d+)-(%d+)$')
return redis.call('XTRIM', KEYS[1], 'MINID', ms .. '-' .. string.format('%.0f', tonumber(seq) + 1))
