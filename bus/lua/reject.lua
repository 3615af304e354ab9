-- Copy an entry of a log to its dead letters, with the reason; once.
-- KEYS  stream, dead-letter stream
-- ARGV  entry id, reason, most dead letters kept, the entry's bytes
-- The dead letter has the entry's own id: adding it twice is refused by the stream itself, as long
-- as entries are rejected in order.
if redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])[1] then return 0 end
local reply = redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], ARGV[1],
  'reason', ARGV[2], 'attempts', 1, 'group', '', 'entry', ARGV[1], 'e', ARGV[4])
if type(reply) == 'table' and reply.err then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*',
    'reason', ARGV[2], 'attempts', 1, 'group', '', 'entry', ARGV[1], 'e', ARGV[4])
end
return 1
