-- Copy an entry of a log to its dead letters, with the reason; once.
-- KEYS  dead-letter stream, mark of this rejection
-- ARGV  entry id, reason, most dead letters kept, the entry's bytes, seconds to keep the mark
if not redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[5]) then return 0 end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*',
  'reason', ARGV[2], 'attempts', 1, 'group', '', 'entry', ARGV[1], 'e', ARGV[4])
return 1
