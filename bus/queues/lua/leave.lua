-- A consumer leaves its group.
-- KEYS  stream, the group's consumers zset
-- ARGV  group, consumer
-- Whoever left and has nothing in its name is removed; the caller too, unless something of it waits
-- for a retry, or could not be handed back: then whoever is there when others have it removes it.
redis.call('ZREM', KEYS[2], ARGV[2])
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then return 0 end
for _, row in ipairs(consumers) do
  local consumer = {}
  for i = 1, #row, 2 do consumer[row[i]] = row[i + 1] end
  if consumer['pending'] == 0 and not redis.call('ZSCORE', KEYS[2], consumer['name']) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
  end
end
return 1
