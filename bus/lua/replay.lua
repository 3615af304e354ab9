-- Put dead letters back into their stream.
-- KEYS  dead-letter stream, stream
-- ARGV  ids of the dead letters...
-- Returns how many were put back.
local replayed = 0
for i = 1, #ARGV do
  local letter = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
  if letter then
    local fields = {}
    for n = 9, #letter[2] do fields[#fields + 1] = letter[2][n] end
    if #fields > 0 then redis.call('XADD', KEYS[2], '*', unpack(fields)) end
    redis.call('XDEL', KEYS[1], ARGV[i])
    replayed = replayed + 1
  end
end
return replayed
