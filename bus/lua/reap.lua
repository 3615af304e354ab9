-- Turn each overdue agent whose key is gone into exactly one `expired` event.
-- KEYS  index zset, records hash, events stream, watch string
-- ARGV  prefix of the presence keys (same slot), most events kept, ms without a reaper after which
--       nobody is declared dead at once, ms for which nobody is then
-- Returns {{agent, record}... of those that expired, ms until the next is due, or -1}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- Redis at its maxmemory refuses a script whose first write could take memory, though what this one
-- does is what frees some: so the first write takes none.
redis.call('ZREM', KEYS[1], '')

-- Where nobody reaped for a while the server itself was away, perhaps, and nobody could beat: those
-- who live get the time to. `watch` is "<ms of the last run> <ms until which all are spared>".
-- What is not a string there is overwritten.
local watch = redis.pcall('GET', KEYS[4])
local last, spared = string.match(type(watch) == 'string' and watch or '', '^(%d+) (%d+)$')
last, spared = tonumber(last), tonumber(spared or 0)
if last and now - last > tonumber(ARGV[3]) then spared = now + tonumber(ARGV[4]) end
if not last or math.abs(now - last) > 400 then
  redis.call('SET', KEYS[4], string.format('%d %d', now, spared))
end
if now < spared then return {{}, spared - now} end

if redis.call('HLEN', KEYS[2]) > redis.call('ZCARD', KEYS[1]) then
  -- A record that the index does not know would look alive for ever.
  for _, agent in ipairs(redis.call('HKEYS', KEYS[2])) do
    redis.call('ZADD', KEYS[1], 'NX', now + tonumber(ARGV[4]), agent)
  end
end

local expired = {}
for _, agent in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 500)) do
  local left = redis.call('PTTL', ARGV[1] .. agent)
  if left == -2 then
    local record = redis.call('HGET', KEYS[2], agent) or ''
    redis.call('ZREM', KEYS[1], agent)
    redis.call('HDEL', KEYS[2], agent)
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], '*',
      'kind', 'expired', 'agent', agent, 'presence', record, 'cause', 'no heartbeat')
    expired[#expired + 1] = {agent, record}
  else
    -- The index was ahead of the key; or a foreign hand wrote a key that would live for ever.
    if left == -1 then
      left = 30000
      redis.call('PEXPIRE', ARGV[1] .. agent, left)
    end
    redis.call('ZADD', KEYS[1], now + math.max(left, 1), agent)
  end
end
local soonest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
local wait = -1
if soonest then wait = math.max(0, tonumber(soonest) - now) end
return {expired, wait}
