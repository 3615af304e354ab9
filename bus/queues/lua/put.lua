-- Put a batch of messages into a queue, each once, in order.
-- KEYS  stream, last numbers seen of this producer, delayed zset, counters, lanes' heads
-- ARGV  number of the first message, seconds to remember the producer, prefix of the lanes, prefix
--       of the dedupe ids, ms to remember those, most messages (0: any number), most bytes (0: any),
--       values a message (1 or 5), then for each message:
--       message [, its id, dedupe id or '', due ('', '+<ms from now>' or ms), key or '']
-- Returns {} where each was just appended; else for each message the id of the one that stands
-- where it was deduplicated, '' where it was put, '!' where the queue is full. Behind the first that
-- does not fit none of the batch is put, so that none overtakes another. Where a key is of another
-- type than ours the script fails, and none of the batch is put.
-- The numbering is that of Kafka's idempotent producer (KIP-98): a retry carries the same numbers.
-- What is remembered is '<last number> <first number of the last batch that was refused>', as in
-- append.lua.
local q = {stream = KEYS[1], counts = KEYS[4], lanes = KEYS[5], lane = ARGV[3]}
local number, most, most_bytes = tonumber(ARGV[1]), tonumber(ARGV[6]), tonumber(ARGV[7])
local values = tonumber(ARGV[8])
local seen = redis.call('GET', KEYS[2]) or '0 0'
local last, refused = seen:match('^(%d+) (%d+)$')
last, refused = tonumber(last or 0), tonumber(refused or 0)
local grown = 0
-- A script that fails is not undone, so whatever is read below is read once before the first write:
-- where a foreign hand made another type of it, none of the batch is put.
-- Who may only append (another agent's inbox) may not ask: its first write is an XADD, which fails.
local length_of = redis.pcall('XLEN', KEYS[1])
if type(length_of) == 'table' and length_of.err and length_of.err:find('WRONGTYPE') then
  return length_of
end
local counting = redis.call('HEXISTS', KEYS[4], 'bytes') == 1

if values == 1 and most == 0 and most_bytes == 0 then
  for i = 9, #ARGV do
    if number > last then
      redis.call('XADD', KEYS[1], '*', 'e', ARGV[i])
      grown = grown + #ARGV[i]
    end
    number = number + 1
  end
  if grown > 0 and counting then bump(q, 'bytes', grown) end
  -- Written also when nothing is new: WAIT waits for what this connection wrote.
  redis.call('SET', KEYS[2], string.format('%.0f 0', math.max(number - 1, last)), 'EX', ARGV[2])
  return {}
end

redis.call('ZCARD', KEYS[3])
redis.call('HLEN', KEYS[5])
for i = 9, #ARGV, values do
  if values > 1 and ARGV[i + 2] ~= '' then redis.call('GET', ARGV[4] .. ARGV[i + 2]) end
  if values > 1 and ARGV[i + 4] ~= '' then redis.call('LLEN', q.lane .. ARGV[i + 4]) end
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function bytes_in_queue()
  local total = 0
  local from = '-'
  repeat
    local entries = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 500)
    for _, entry in ipairs(entries) do
      total = total + #(fields_of(entry[2])['e'] or '')
      from = '(' .. entry[1]
    end
  until #entries < 500
  for _, waiting in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
    total = total + #waiting - (waiting:find('\n', 1, true) or 0)
  end
  for _, key in ipairs(redis.call('HKEYS', KEYS[5])) do
    for _, waiting in ipairs(redis.call('LRANGE', q.lane .. key, 0, -1)) do
      total = total + #waiting - (waiting:find('\n', 1, true) or 0)
    end
  end
  return total
end

local length, bytes
local function measure()
  length = redis.call('XLEN', KEYS[1]) + redis.call('ZCARD', KEYS[3])
    + (count_of(q, 'parked') or 0)
  bytes = (count_of(q, 'bytes') or 0) + grown
end
local function fits(size)
  return (most == 0 or length < most) and (most_bytes == 0 or bytes + size <= most_bytes)
end

if most > 0 or most_bytes > 0 then
  redis.call('HSET', KEYS[4], 'exact', 1)
  if most_bytes > 0 and not count_of(q, 'bytes') then
    redis.call('HSET', KEYS[4], 'bytes', bytes_in_queue())
  end
  measure()
end
counting = redis.call('HEXISTS', KEYS[4], 'bytes') == 1

-- The id of the message that stands for a dedupe id, or nothing.
local function standing_for(dedupe)
  return dedupe ~= '' and redis.call('GET', ARGV[4] .. dedupe) or ''
end

local trimmed, stopped = false, false
local function put(message, id, dedupe, due, key)
  local standing = standing_for(dedupe)
  if standing ~= '' then return standing end
  if stopped then return '!' end
  if length and not fits(#message) and not trimmed then
    -- What every group is done with does not count.
    trim(q, groups_of(q))
    trimmed = true
    measure()
  end
  if length and not fits(#message) then
    stopped = true
    return '!'
  end
  local at = tonumber(due) or 0
  if due:sub(1, 1) == '+' then at = now + tonumber(due:sub(2)) end
  if at > now then
    redis.call('ZADD', KEYS[3], at, key .. '\n' .. message)
  else
    enter(q, message, key, '')
  end
  -- Remembered once it is there: a script that fails is not undone, and a put that was refused must
  -- not make the next one its repetition.
  if dedupe ~= '' then redis.call('SET', ARGV[4] .. dedupe, id, 'PX', ARGV[5]) end
  if length then length = length + 1; bytes = bytes + #message end
  grown = grown + #message
  return ''
end

local results = {}
local first_refused = 0
for i = 9, #ARGV, values do
  local id, dedupe, due, key = '', '', '', ''
  if values > 1 then id, dedupe, due, key = ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4] end
  local result
  if number > last then
    result = put(ARGV[i], id, dedupe, due, key)
    if result == '!' and first_refused == 0 then first_refused = number end
  elseif refused > 0 and number >= refused then
    -- Refused the first time, but for those that repeat another.
    result = standing_for(dedupe)
    if result == '' then result = '!' end
    first_refused = refused
  else
    result = standing_for(dedupe)
  end
  results[#results + 1] = result
  number = number + 1
end
if grown > 0 and counting then bump(q, 'bytes', grown) end
redis.call('SET', KEYS[2], string.format('%.0f %.0f', math.max(number - 1, last), first_refused),
  'EX', ARGV[2])
return results
