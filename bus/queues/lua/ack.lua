-- Acknowledge deliveries of one group and, when asked, drop what every group is done with.
-- KEYS  stream, counters, lanes' heads, the group's kills hash
-- ARGV  group, consumer, prefix of the lanes, trim (0 or 1), entry ids...
-- Returns the ids that were not acknowledged: in a queue that keeps an order, those that are in
-- another consumer's hands by now. What follows them must not start while that one is at work.
local q = {stream = KEYS[1], counts = KEYS[2], lanes = KEYS[3], lane = ARGV[3]}
local exact = redis.call('HGET', KEYS[2], 'exact')
local ids, lost = {}, {}
local ordered = exact and redis.call('EXISTS', KEYS[3]) == 1
for i = 5, #ARGV do
  local pending = ordered and redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)[1]
  if pending and pending[2] ~= ARGV[2] then
    lost[#lost + 1] = ARGV[i]
  else
    ids[#ids + 1] = ARGV[i]
  end
end
if #ids > 0 then
  redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
  if redis.call('EXISTS', KEYS[4]) == 1 then redis.call('HDEL', KEYS[4], unpack(ids)) end
end
if exact and #ids > 0 then
  local groups = groups_of(q)
  if #groups == 1 and not ordered and redis.call('HEXISTS', KEYS[2], 'bytes') == 0 then
    redis.call('XDEL', KEYS[1], unpack(ids))
  else
    for _, id in ipairs(ids) do
      if done(q, groups, id) then remove(q, id) end
    end
  end
end
if ARGV[4] == '1' then trim(q, groups_of(q)) end
return lost
