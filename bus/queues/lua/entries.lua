-- What the scripts that put and settle entries of a queue share; it is put before their own text.
-- A queue `q` is {stream =, counts =, lanes =, lane =}: the keys of its stream, of its counters and
-- of its lanes' heads, and the prefix of its lanes.
--
-- Of the messages with one key, one at most is in the stream: the head of the key's lane. `lanes`
-- has its entry id. Those behind it wait in a list, as "<group or nothing>\n<message>"; the next
-- one enters the stream when every group is done with the head.
-- `counts` has: exact (set where entries are to leave the stream one by one, as soon as every group
-- is done with them), parked (messages in lanes), bytes (of all messages, where somebody bounds
-- them), refused (garbled messages that were buried), garbled (what was no id where one belongs).

-- Entry ids are two numbers; as text, '9-1' would sort behind '10-1'.
local function less(a, b)
  local ams, aseq = a:match('(%d+)-(%d+)')
  local bms, bseq = b:match('(%d+)-(%d+)')
  if #ams ~= #bms then return #ams < #bms end
  if ams ~= bms then return ams < bms end
  if #aseq ~= #bseq then return #aseq < #bseq end
  return aseq < bseq
end

-- Whether a text is an entry id. A foreign hand may have written something else in its place.
local function is_id(text)
  local ms, seq = (text or ''):match('^(%d+)%-(%d+)$')
  local function fits(number) return #number < 20 or (#number == 20 and number <= '18446744073709551615') end
  return ms ~= nil and fits(ms) and fits(seq)
end

local function fields_of(list)
  local fields = {}
  for i = 1, #list, 2 do fields[list[i]] = list[i + 1] end
  return fields
end

-- A counter, or nil where there is none or it is no number.
local function count_of(q, field)
  local text = redis.call('HGET', q.counts, field)
  return text and text:match('^%-?%d+$') and tonumber(text) or nil
end

-- Count up; anew where what is there is no number.
local function bump(q, field, by)
  local counted = redis.pcall('HINCRBY', q.counts, field, by)
  if type(counted) == 'number' then return end
  if field == 'bytes' then
    -- Whoever bounds the queue counts them at the next put.
    redis.call('HDEL', q.counts, field)
  elseif field == 'parked' then
    local parked = 0
    for _, key in ipairs(redis.call('HKEYS', q.lanes)) do
      parked = parked + redis.call('LLEN', q.lane .. key)
    end
    redis.call('HSET', q.counts, field, parked)
  else
    redis.call('HSET', q.counts, field, by)
  end
end

local function append(q, message, key, group)
  local fields = {'e', message}
  if key ~= '' then fields[3] = 'k'; fields[4] = key end
  if group ~= '' then fields[#fields + 1] = 'g'; fields[#fields + 1] = group end
  return redis.call('XADD', q.stream, '*', unpack(fields))
end

-- Let a message into the stream, or have it wait behind others with its key. Where a group is
-- given, the message is for that group alone: consumers of others pass it over.
local function enter(q, message, key, group)
  if key == '' then return append(q, message, '', group) end
  local head = redis.call('HGET', q.lanes, key)
  if head then
    redis.call('RPUSH', q.lane .. key, group .. '\n' .. message)
    bump(q, 'parked', 1)
  else
    redis.call('HSET', q.lanes, key, append(q, message, key, group))
    redis.call('HSET', q.counts, 'exact', 1)
  end
end

-- The head of a lane is done with, or gone: let the next one in.
local function advance(q, key)
  -- A server that is full lets a script go on once it has written: what is popped here enters.
  local waiting = redis.call('LPOP', q.lane .. key)
  if not waiting then
    redis.call('HDEL', q.lanes, key)
    return
  end
  local cut = waiting:find('\n', 1, true) or 0
  local id = append(q, waiting:sub(cut + 1), key, waiting:sub(1, math.max(cut - 1, 0)))
  redis.call('HSET', q.lanes, key, id)
  bump(q, 'parked', -1)
end

local function groups_of(q)
  local groups = {}
  if redis.call('EXISTS', q.stream) == 0 then return groups end
  for _, row in ipairs(redis.call('XINFO', 'GROUPS', q.stream)) do
    groups[#groups + 1] = fields_of(row)
  end
  return groups
end

-- Whether there are groups, and all are done with an entry.
local function done(q, groups, id)
  for _, group in ipairs(groups) do
    if less(group['last-delivered-id'], id) then return false end
    if group['pending'] > 0
      and #redis.call('XPENDING', q.stream, group['name'], id, id, 1) > 0 then return false end
  end
  return #groups > 0
end

-- Drop an entry that is done with; the next one of its lane enters.
local function remove(q, id)
  local entry = redis.call('XRANGE', q.stream, id, id)[1]
  if not entry then return end
  redis.call('XDEL', q.stream, id)
  local fields = fields_of(entry[2])
  if q.bytes == nil then q.bytes = redis.call('HEXISTS', q.counts, 'bytes') == 1 end
  if q.bytes then bump(q, 'bytes', -#(fields['e'] or '')) end
  if fields['k'] and redis.call('HGET', q.lanes, fields['k']) == id then
    advance(q, fields['k'])
  end
end

-- Drop the entries before the first one that some group is not done with.
local function trim(q, groups)
  local keep = nil
  for _, group in ipairs(groups) do
    local ms, seq = group['last-delivered-id']:match('(%d+)-(%d+)')
    local oldest = ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
    if group['pending'] > 0 then
      oldest = redis.call('XPENDING', q.stream, group['name'])[2]
    end
    if not keep or less(oldest, keep) then keep = oldest end
  end
  if not keep then return end
  if not redis.call('HGET', q.counts, 'exact') then
    redis.call('XTRIM', q.stream, 'MINID', keep)
    return
  end
  for _ = 1, 10 do
    local entries = redis.call('XRANGE', q.stream, '-', '(' .. keep, 'COUNT', 100)
    for _, entry in ipairs(entries) do remove(q, entry[1]) end
    if #entries < 100 then return end
  end
end
