-- Move deliveries to the dead letters, with the reasons. Repeating it has no effect.
-- Returns the ids that were not buried because they are in another consumer's hands by now.
-- KEYS  stream, dead-letter stream, the group's retry zset, the group's kills hash, counters,
--       lanes' heads
-- ARGV  group, consumer, prefix of the lanes, most dead letters kept, then for each: entry id,
--       reason, attempts, which consumers it killed and when, whether it was refused unread (0 or 1)
local q = {stream = KEYS[1], counts = KEYS[5], lanes = KEYS[6], lane = ARGV[3]}
local group = ARGV[1]
local buried, lost, refused = {}, {}, 0
for i = 5, #ARGV, 5 do
  local id = ARGV[i]
  -- Redis at its maxmemory refuses a script whose first write could take memory, though what this
  -- one does is what frees some: so the first write takes none.
  redis.call('ZREM', KEYS[3], '')
  local pending = redis.call('XPENDING', KEYS[1], group, id, id, 1)[1]
  if pending and pending[2] ~= ARGV[2] then
    lost[#lost + 1] = id
  else
    redis.call('ZREM', KEYS[3], id)
    redis.call('HDEL', KEYS[4], id)
  end
  if pending and pending[2] == ARGV[2] then
    local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
    local fields = entry and entry[2] or {}
    local letter = {'reason', ARGV[i + 1], 'attempts', ARGV[i + 2], 'group', group, 'entry', id,
      'kills', ARGV[i + 3]}
    -- The message's own fields come last and as they were, also where they are not ours.
    -- Of one that nobody of us wrote, as much as Lua can pass on.
    for n = 1, math.min(#fields, 4000) do letter[#letter + 1] = fields[n] end
    -- Copied before it is acknowledged: a script that fails is not undone, and where the dead
    -- letters cannot be written the message has to stay pending.
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', unpack(letter))
    redis.call('XACK', KEYS[1], group, id)
    refused = refused + tonumber(ARGV[i + 4])
    buried[#buried + 1] = id
  end
end
if refused > 0 then bump(q, 'refused', refused) end
if #buried > 0 and redis.call('HGET', KEYS[5], 'exact') then
  local groups = groups_of(q)
  for _, id in ipairs(buried) do
    if done(q, groups, id) then remove(q, id) end
  end
end
return lost
