-- The heartbeat of many agents of one process.
-- KEYS  index zset, presence keys...
-- ARGV  for each: member, how a record of its instance begins, TTL in ms
-- Returns for each: 1 alive, 0 the key is gone, 2 the key is another instance's.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
-- Where the records of some were lost (the hash was deleted, or evicted) they are written again.
local records = KEYS[1] .. ':records'
local lost = redis.call('HLEN', records) < redis.call('ZCARD', KEYS[1])
local results = {}
for i = 2, #KEYS do
  local at = (i - 2) * 3
  -- pcall: what is not a string there is not a record either.
  local record = redis.pcall('GET', KEYS[i])
  if type(record) ~= 'string' then
    results[#results + 1] = 0
  elseif record:sub(1, #ARGV[at + 2]) ~= ARGV[at + 2] then
    results[#results + 1] = 2
  else
    redis.call('PEXPIRE', KEYS[i], ARGV[at + 3])
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[at + 3]), ARGV[at + 1])
    if lost then redis.call('HSET', records, ARGV[at + 1], record) end
    results[#results + 1] = 1
  end
end
return results
