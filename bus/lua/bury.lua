-- Move one delivery to the dead letters, with the reason. Repeating it has no effect.
-- KEYS  stream, dead-letter stream, the group's retry zset
-- ARGV  group, entry id, reason, attempts, most dead letters kept
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1) == 0 then return 0 end
local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
local fields = entry and entry[2] or {}
local letter = {'reason', ARGV[3], 'attempts', ARGV[4], 'group', ARGV[1], 'entry', ARGV[2]}
-- The message's own fields come last and as they were, also where they are not ours.
-- Of one that nobody of us wrote, as much as Lua can pass on.
for i = 1, math.min(#fields, 4000) do letter[#letter + 1] = fields[i] end
-- Copied before it is acknowledged: a script that fails is not undone, and where the dead letters
-- cannot be written the message has to stay pending.
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', unpack(letter))
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
return 1
