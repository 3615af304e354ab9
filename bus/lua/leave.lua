-- Stop being present. A stranger's leave changes nothing.
-- KEYS  presence key, index zset, records hash, events stream
-- ARGV  agent, how a record of this instance begins, cause, most events kept
local record = redis.pcall('GET', KEYS[1])
if type(record) ~= 'string' or record:sub(1, #ARGV[2]) ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[4], '*',
  'kind', 'left', 'agent', ARGV[1], 'presence', record, 'cause', ARGV[3])
return 1
