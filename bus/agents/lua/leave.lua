-- Stop being present. A stranger's leave changes nothing.
-- KEYS  presence key of the member, index zset
-- ARGV  prefix of the presence keys, most events kept, member, how a record of this instance begins,
--       cause
base, most_events = ARGV[1], ARGV[2]
local record = redis.pcall('GET', KEYS[1])
if type(record) ~= 'string' or record:sub(1, #ARGV[4]) ~= ARGV[4] then return 0 end
redis.call('DEL', KEYS[1])
strike(ARGV[3], record)
tell('left', ARGV[3], record, ARGV[5])
return 1
