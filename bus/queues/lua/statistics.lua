-- A queue at one moment.
-- KEYS  stream, dead-letter stream, delayed zset, counters, schedules hash
-- ARGV  prefix of the groups' retry zsets, prefix of the groups' kills hashes
-- Returns {length, dead, delayed, parked, refused, bytes or -1, schedules, garbled,
--          {{name, pending, lag or -1, consumers, ms of the oldest unsettled entry or -1, retrying,
--            suspects}...}, now in ms}
local q = {stream = KEYS[1], counts = KEYS[4]}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local groups = {}
for _, group in ipairs(groups_of(q)) do
  local oldest = redis.call('XRANGE', KEYS[1], '(' .. group['last-delivered-id'], '+', 'COUNT', 1)
  local id = oldest[1] and oldest[1][1]
  if group['pending'] > 0 then
    local first = redis.call('XPENDING', KEYS[1], group['name'])[2]
    if not id or less(first, id) then id = first end
  end
  groups[#groups + 1] = {group['name'], group['pending'], group['lag'] or -1, group['consumers'],
    id and tonumber(id:match('^%d+')) or -1,
    redis.call('ZCARD', ARGV[1] .. group['name']), redis.call('HLEN', ARGV[2] .. group['name'])}
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if #groups == 0 and first then
  -- Nobody reads it: all of it waits.
  groups = {{'', 0, -1, 0, tonumber(first[1]:match('^%d+')), 0, 0}}
end
return {redis.call('XLEN', KEYS[1]), redis.call('XLEN', KEYS[2]), redis.call('ZCARD', KEYS[3]),
  count_of(q, 'parked') or 0, count_of(q, 'refused') or 0, count_of(q, 'bytes') or -1,
  redis.call('HLEN', KEYS[5]), count_of(q, 'garbled') or 0, groups, now}
