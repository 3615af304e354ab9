-- Put dead letters back into their queue, each for the group that gave it up and no other.
-- KEYS  dead-letter stream, stream, counters, lanes' heads
-- ARGV  prefix of the lanes, ids of the dead letters...
-- Returns how many were put back. What has no message is left where it is.
local q = {stream = KEYS[2], counts = KEYS[3], lanes = KEYS[4], lane = ARGV[1]}
local known = {}
for _, group in ipairs(groups_of(q)) do known[group['name']] = true end
local replayed = 0
for i = 2, #ARGV do
  local letter = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
  local head = letter and fields_of({unpack(letter[2], 1, 10)}) or {}
  local fields = letter and {unpack(letter[2], 11)} or {}
  if #fields > 0 then
    local group = head['group'] or ''
    if group ~= '' and not known[group] then
      -- Nothing but a group keeps an entry from being trimmed.
      redis.call('XGROUP', 'CREATE', KEYS[2], group, '$', 'MKSTREAM')
      known[group] = true
    end
    local message = fields_of(fields)
    if message['e'] then
      enter(q, message['e'], message['k'] or '', group)
      if redis.call('HEXISTS', KEYS[3], 'bytes') == 1 then
        bump(q, 'bytes', #message['e'])
      end
    else
      redis.call('XADD', KEYS[2], '*', unpack(fields))
    end
    redis.call('XDEL', KEYS[1], ARGV[i])
    replayed = replayed + 1
  end
end
return replayed
