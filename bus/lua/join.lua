-- Become present.
-- KEYS  presence key, index zset (by expiry time), records hash, events stream
-- ARGV  agent, how a record of this instance begins, record, TTL in ms, takeover (0 or 1),
--       most events kept
-- Returns {1, ''} when present, {0, record of the one that is there} when the id is taken.
-- Redis at its maxmemory refuses a script whose first write could take memory, and among those who
-- join is the sidecar that makes room: so the first write takes none.
redis.call('ZREM', KEYS[2], '')
local existing = redis.pcall('GET', KEYS[1])
-- What is not a string there is not a record: it is overwritten.
if type(existing) ~= 'string' then existing = nil end
local mine = existing and existing:sub(1, #ARGV[2]) == ARGV[2]
if existing and not mine then
  if ARGV[5] == '0' then return {0, existing} end
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[6], '*',
    'kind', 'left', 'agent', ARGV[1], 'presence', existing, 'cause', 'taken over')
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if not existing then
  -- One that is due but not reaped yet must not lose its expiry to the newcomer.
  local before = redis.call('HGET', KEYS[3], ARGV[1])
  if before and before:sub(1, #ARGV[2]) ~= ARGV[2] then
    redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[6], '*',
      'kind', 'expired', 'agent', ARGV[1], 'presence', before, 'cause', 'no heartbeat')
  end
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[4]), ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
if not mine then
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[6], '*',
    'kind', 'joined', 'agent', ARGV[1], 'presence', ARGV[3])
end
return {1, ''}
