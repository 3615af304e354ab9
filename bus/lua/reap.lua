-- Turn each overdue agent whose key is gone into exactly one `expired` event.
-- KEYS  index zset, records hash, events stream
-- ARGV  prefix of the presence keys (same slot), most events kept
-- Returns {{agent, record}... of those that expired, ms until the next is due, or -1}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
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
    -- The index was ahead of the key, or a foreign hand wrote a key without a TTL.
    redis.call('ZADD', KEYS[1], now + math.max(left, 1), agent)
  end
end
local soonest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
local wait = -1
if soonest then wait = math.max(0, tonumber(soonest) - now) end
return {expired, wait}
