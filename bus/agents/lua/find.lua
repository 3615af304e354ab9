-- The records of present members that are in all of some sets of the directory.
-- KEYS  records hash, sets of members...
-- ARGV  prefix of the keys of members
-- Returns {record...}
local found = {}
for _, member in ipairs(redis.call('SINTER', unpack(KEYS, 2))) do
  local record = redis.call('EXISTS', ARGV[1] .. member) == 1 and redis.call('HGET', KEYS[1], member)
  if record then found[#found + 1] = record end
end
return found
