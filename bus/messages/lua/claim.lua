-- Note which entry of a log a message came with first.
-- KEYS  hash of entry ids by message id, zset of message ids by the entry's time
-- ARGV  ms of log time to remember, message id, entry id, ...
-- Returns for each: the id of the entry that it came with first. Repeating it changes nothing.
-- Redis at its maxmemory refuses a script whose first write could take memory, and what follows this
-- one is what makes room: so the first write takes none.
redis.call('HDEL', KEYS[1], '')
local first, newest = {}, 0
for i = 2, #ARGV, 2 do
  local ms = tonumber(ARGV[i + 1]:match('^(%d+)-'))
  if redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) == 1 then
    redis.call('ZADD', KEYS[2], ms, ARGV[i])
  end
  first[#first + 1] = redis.call('HGET', KEYS[1], ARGV[i])
  newest = math.max(newest, ms)
end
local old = string.format('(%.0f', newest - tonumber(ARGV[1]))
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', old, 'LIMIT', 0, 4000)) do
  redis.call('HDEL', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
end
return first
