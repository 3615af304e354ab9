-- What keeps a queue moving; any live consumer may run it at any time.
--   1. delayed messages that are due enter the stream
--   2. deliveries whose retry is due are claimed by the caller
--   3. deliveries of consumers whose heartbeat is gone are claimed by the caller
-- KEYS  stream, delayed zset, the group's retry zset, the group's consumers zset, watch string
-- ARGV  group, caller, room (how many deliveries the caller takes), TTL in ms for unknown consumers,
--       ms without a caller after which nobody is taken for dead at once, ms for which nobody is then
-- Returns {claimed = {{entry id, fields, attempts}...}, ms until something is due, or -1}
local stream, delayed, retry, consumers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, me, room = ARGV[1], ARGV[2], tonumber(ARGV[3])
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

for _, message in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, 500)) do
  redis.call('XADD', stream, '*', 'e', message)
  redis.call('ZREM', delayed, message)
end

local claimed = {}
local function claim(id)
  local entry = redis.call('XCLAIM', stream, group, me, 0, id)[1]
  redis.call('ZREM', retry, id)
  if entry then
    local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
    claimed[#claimed + 1] = {entry[1], entry[2], pending and pending[4] or 1}
  else
    -- The entry itself is gone from the stream: nothing is left to deliver.
    redis.call('XACK', stream, group, id)
  end
  room = room - 1
end

if room > 0 then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', retry, '-inf', now, 'LIMIT', 0, room)) do
    claim(id)
  end
end

local soonest = nil
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
          if room > 0 and not redis.call('ZSCORE', retry, row[1]) then claim(row[1]) end
          from = '(' .. row[1]
        end
        left = #batch < 100
      end
      local still = redis.call('XPENDING', stream, group, '-', '+', 1, name)
      if #still == 0 then
        redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
        redis.call('ZREM', consumers, name)
      end
    else
      due_at(until_)
    end
  end
end

due_at(redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2])
due_at(redis.call('ZRANGE', retry, 0, 0, 'WITHSCORES')[2])
local wait = -1
if soonest then wait = math.max(0, soonest - now) end
return {claimed, wait}
