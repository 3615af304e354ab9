-- Turn each overdue member whose key is gone into exactly one `expired` event.
-- KEYS  index zset, records hash, watch string, unsettled hash
-- ARGV  prefix of the presence keys, most events kept, ms without a reaper after which nobody is
--       declared dead at once, ms for which nobody is then
-- Returns {how many expired (500 at most in one call), ms until the next is due or -1, how many dead
-- wait for what they held to be given up}
base, most_events = ARGV[1], ARGV[2]

-- Redis at its maxmemory refuses a script whose first write could take memory, though what this one
-- does is what frees some: so the first write takes none.
redis.call('ZREM', KEYS[1], '')

-- Where nobody reaped for a while the server itself was away, perhaps, and nobody could beat: those
-- who live get the time to. `watch` is "<ms of the last run> <ms until which all are spared>".
-- What is not a string there is overwritten.
local watch = redis.pcall('GET', KEYS[3])
local last, spared = string.match(type(watch) == 'string' and watch or '', '^(%d+) (%d+)$')
last, spared = tonumber(last), tonumber(spared or 0)
if last and now - last > tonumber(ARGV[3]) then spared = now + tonumber(ARGV[4]) end
if not last or math.abs(now - last) > 400 then
  redis.call('SET', KEYS[3], string.format('%d %d', now, spared))
end
if now < spared then return {0, spared - now, redis.call('HLEN', KEYS[4])} end

if redis.call('HLEN', KEYS[2]) > redis.call('ZCARD', KEYS[1]) then
  -- A record that the index does not know would look alive for ever.
  for _, agent in ipairs(redis.call('HKEYS', KEYS[2])) do
    redis.call('ZADD', KEYS[1], 'NX', now + tonumber(ARGV[4]), agent)
  end
end

local expired = 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 500)) do
  local key = base .. 'agent:' .. member
  local left = redis.call('PTTL', key)
  if left == -2 then
    expire(member, redis.call('HGET', KEYS[2], member) or '')
    expired = expired + 1
  else
    -- The index was ahead of the key; or a foreign hand wrote a key that would live for ever.
    if left == -1 then
      left = 30000
      redis.call('PEXPIRE', key, left)
    end
    redis.call('ZADD', KEYS[1], now + math.max(left, 1), member)
  end
end
local soonest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
local wait = -1
if soonest then wait = math.max(0, tonumber(soonest) - now) end
return {expired, wait, redis.call('HLEN', KEYS[4])}
