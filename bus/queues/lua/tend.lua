-- What keeps a queue moving; any live consumer may run it at any time.
--   1. delayed messages that are due enter the stream; lanes whose head is gone go on
--   2. deliveries whose retry is due are claimed by the caller
--   3. deliveries of consumers whose heartbeat is gone are claimed by the caller, and who died of
--      what is noted: in the group's kills hash, entry id -> '<consumer>@<ms> ... ><consumer>', where
--      the last one is the consumer that has it in hand (lua/started.lua)
-- KEYS  stream, delayed zset, the group's retry zset, the group's consumers zset, watch string, the
--       group's kills hash, counters, lanes' heads, schedules hash, schedules zset by time
-- ARGV  group, caller, room (how many deliveries the caller takes), TTL in ms for unknown consumers,
--       ms without a caller after which nobody is taken for dead at once, ms for which nobody is
--       then, prefix of the lanes
-- Returns {claimed = {{entry id, fields, attempts, kills}...}, ms until something is due, or -1,
--          {{name, schedule, when it was due}...} that are due, the time in ms,
--          {garbled members that were passed over...}, {{key of another type, its type}...},
--          how many of those claimed are by 3., whether there is (perhaps) more to claim than there
--          was room for (0 or 1): it does not count as due, or a caller without room would be back
--          at once, again and again.}
local stream, delayed, retry, consumers, kills = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[6]
local group, me, room = ARGV[1], ARGV[2], tonumber(ARGV[3])
local q = {stream = stream, counts = KEYS[7], lanes = KEYS[8], lane = ARGV[7]}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- Redis at its maxmemory refuses a script whose first write could take memory, though what this one
-- does is what frees some: so the first write takes none.
redis.call('ZREM', consumers, '')

-- Where nobody tended for a while the server itself was away, perhaps, and nobody could beat: those
-- who live get the time to. `watch` is "<ms of the last run> <ms until which all are spared>".
-- What is not a string there is overwritten.
local watch = redis.pcall('GET', KEYS[5])
local last, spared = string.match(type(watch) == 'string' and watch or '', '^(%d+) (%d+)$')
last, spared = tonumber(last), tonumber(spared or 0)
if last and now - last > tonumber(ARGV[5]) then spared = now + tonumber(ARGV[6]) end
if not last or math.abs(now - last) > 400 then
  redis.call('SET', KEYS[5], string.format('%d %d', now, spared))
end

-- What a foreign hand made another type of is left alone and told of; the rest goes on.
local wrong = {}
local function usable(place, kind)
  local found = redis.call('TYPE', KEYS[place]).ok
  if found == 'none' or found == kind then return true end
  wrong[#wrong + 1] = {KEYS[place], found}
  return false
end
local can_delay, can_retry = usable(2, 'zset'), usable(3, 'zset')
local can_blame, can_count, can_order = usable(6, 'hash'), usable(7, 'hash'), usable(8, 'hash')
local can_schedule = usable(9, 'hash')
can_schedule = usable(10, 'zset') and can_schedule
local can_enter = can_count and can_order

local garbled = {}
local function pass_over(member)
  garbled[#garbled + 1] = member:sub(1, 100)
  if can_count then bump(q, 'garbled', 1) end
end

local function members(can, ...)
  if not can then return {} end
  return redis.call(...)
end

for _, message in ipairs(members(can_delay and can_enter, 'ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, 500)) do
  local cut = message:find('\n', 1, true) or 0
  enter(q, message:sub(cut + 1), message:sub(1, math.max(cut - 1, 0)), '')
  redis.call('ZREM', delayed, message)
end

-- The head of a key whose note of it is garbled: the first in the stream with that key.
local function head_of(key)
  local from = '-'
  for _ = 1, 10 do
    local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', 100)
    for _, entry in ipairs(entries) do
      if fields_of(entry[2])['k'] == key then return entry[1] end
      from = '(' .. entry[1]
    end
    if #entries < 100 then return nil end
  end
end

if can_enter and redis.call('EXISTS', q.lanes) == 1 then
  -- A head may have left with a deleted stream, or with a group that was the last to have it.
  local groups = groups_of(q)
  local look = redis.call('XLEN', stream) == 0 and 1000 or 20
  for _, key in ipairs(redis.call('HRANDFIELD', q.lanes, look)) do
    local head = redis.call('HGET', q.lanes, key)
    if not is_id(head) then
      pass_over(head)
      head = head_of(key)
      if head then redis.call('HSET', q.lanes, key, head) end
    end
    if not head or #redis.call('XRANGE', stream, head, head) == 0 then
      advance(q, key)
    elseif done(q, groups, head) then
      remove(q, head)
    end
  end
end

local claimed = {}
-- Where `attempts` is given, the delivery to come is not another attempt.
local function claim(id, attempts)
  local options = attempts and {'RETRYCOUNT', attempts} or {}
  local entry = redis.call('XCLAIM', stream, group, me, 0, id, unpack(options))[1]
  if can_retry then redis.call('ZREM', retry, id) end
  if entry then
    local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
    claimed[#claimed + 1] = {entry[1], entry[2], pending and pending[4] or 1,
      can_blame and redis.call('HGET', kills, id) or ''}
  else
    -- The entry itself is gone from the stream: nothing is left to deliver.
    redis.call('XACK', stream, group, id)
    if can_blame then redis.call('HDEL', kills, id) end
  end
  room = room - 1
end

-- Note that a consumer died with a delivery. The first time it may have been read ahead only; from
-- then on it counts where the consumer had it in hand. Returns whether it counts.
local function blame(id, name)
  if not can_blame then return true end
  local before = redis.call('HGET', kills, id)
  local death = name .. '@' .. string.format('%.0f', now)
  if not before then
    redis.call('HSET', kills, id, death)
    return true
  end
  local at = before:find('>' .. name, 1, true)
  if not at or at + #name ~= #before then return false end
  redis.call('HSET', kills, id, before:sub(1, at - 1) .. death)
  return true
end

if room > 0 then
  for _, id in ipairs(members(can_retry, 'ZRANGEBYSCORE', retry, '-inf', now, 'LIMIT', 0, room)) do
    if is_id(id) then
      claim(id)
    else
      redis.call('ZREM', retry, id)
      pass_over(id)
    end
  end
end
local retried = #claimed

local soonest, more = nil, false
local function due_at(score)
  score = tonumber(score)
  if score and (not soonest or score < soonest) then soonest = score end
end

for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
  local consumer = {}
  for i = 1, #row, 2 do consumer[row[i]] = row[i + 1] end
  local name, pending = consumer['name'], consumer['pending']
  if name ~= me then
    local until_ = tonumber(redis.call('ZSCORE', consumers, name))
    if not until_ then
      if pending == 0 then
        redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
      else
        -- Its heartbeat was lost with the server's data, or it closed and left work behind.
        until_ = now + tonumber(ARGV[4])
        redis.call('ZADD', consumers, until_, name)
      end
    end
    if until_ then until_ = math.max(until_, spared) end
    if until_ and until_ <= now then
      local left = false
      local from = '-'
      while room > 0 and not left do
        local batch = redis.call('XPENDING', stream, group, from, '+', 100, name)
        for _, row in ipairs(batch) do
          -- One that waits for its retry keeps waiting: others will claim it when it is due.
          if can_retry and redis.call('ZSCORE', retry, row[1]) then
          elseif room <= 0 then
            more = true
          else
            claim(row[1], not blame(row[1], name) and row[4] or nil)
          end
          from = '(' .. row[1]
        end
        left = #batch < 100
      end
      local still = redis.call('XPENDING', stream, group, '-', '+', 1, name)
      if #still == 0 then
        redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
        redis.call('ZREM', consumers, name)
      elseif not left then
        more = true
      end
    else
      due_at(until_)
    end
  end
end

local due = {}
for _, name in ipairs(members(can_schedule, 'ZRANGEBYSCORE', KEYS[10], '-inf', now, 'LIMIT', 0, 20)) do
  due[#due + 1] = {name, redis.call('HGET', KEYS[9], name) or '',
    redis.call('ZSCORE', KEYS[10], name)}
end

due_at(members(can_delay and can_enter, 'ZRANGE', delayed, 0, 0, 'WITHSCORES')[2])
local retry_at = tonumber(members(can_retry, 'ZRANGE', retry, 0, 0, 'WITHSCORES')[2])
if retry_at and retry_at <= now then more = true else due_at(retry_at) end
if #due == 0 then due_at(members(can_schedule, 'ZRANGE', KEYS[10], 0, 0, 'WITHSCORES')[2]) end
local wait = -1
if soonest then wait = math.max(0, soonest - now) end
return {claimed, wait, due, now, garbled, wrong, #claimed - retried, more and 1 or 0}
