-- Everybody who is present, and the event up to which that is true.
-- KEYS  records hash, events stream, index zset
-- ARGV  prefix of the presence keys (same slot)
-- Returns {id of the last event, {agent, record, ...}, {agents whose key is gone}}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local gone = {}
for _, agent in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do
  -- Dead, and not reaped yet: perhaps nobody was there to do it.
  if redis.call('EXISTS', ARGV[1] .. agent) == 0 then gone[#gone + 1] = agent end
end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
return {last and last[1] or '0-0', redis.call('HGETALL', KEYS[1]), gone}
