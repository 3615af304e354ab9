-- What scripts on presence share: it stands before their own text (`Script("join", "members")`).
-- All keys are in one slot. Whoever includes it sets `base` and `most_events`.
--   <base>agent:<member>     its record, while it beats
--   <base>index              members by expiry time;  index:records  the last record of each
--   <base>index:dead         estates by time of death
--   <base>index:unsettled    by instance, records of the dead whose holdings are not given up yet
--   <base>events             what happened
--   <base>role:<role>, capability:<name>, instances:<agent>   sets of members
local base, most_events
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function read(record)
  local ok, found = pcall(cjson.decode, record or '')
  if ok and type(found) == 'table' then return found end
  return {}
end

local function directory(member, record)
  local found, keys = read(record), {}
  if type(found.role) == 'string' then keys[1] = base .. 'role:' .. found.role end
  if type(found.capabilities) == 'table' then
    for _, name in ipairs(found.capabilities) do
      if type(name) == 'string' then keys[#keys + 1] = base .. 'capability:' .. name end
    end
  end
  local agent = member:match('^(.*)#')
  if agent then keys[#keys + 1] = base .. 'instances:' .. agent end
  return keys
end

-- pcall: a foreign hand may have put something else there.
local function enlist(member, record)
  for _, key in ipairs(directory(member, record)) do redis.pcall('SADD', key, member) end
end

local function strike(member, record)
  redis.call('ZREM', base .. 'index', member)
  redis.call('HDEL', base .. 'index:records', member)
  for _, key in ipairs(directory(member, record)) do redis.pcall('SREM', key, member) end
end

local function tell(kind, member, record, cause)
  local fields = {'kind', kind, 'agent', member, 'presence', record}
  if cause then
    fields[7] = 'cause'
    fields[8] = cause
  end
  redis.call('XADD', base .. 'events', 'MAXLEN', '~', most_events, '*', unpack(fields))
end

-- Declare a member dead: one event, and what it held is to be given up.
local function expire(member, record)
  local found = read(record)
  strike(member, record)
  local cause = 'no heartbeat'
  if type(found.ttl) == 'number' then
    cause = string.format('no heartbeat for %g s: what it held is given up', found.ttl)
  end
  tell('expired', member, record, cause)
  if type(found.instance) == 'string' then
    redis.call('HSET', base .. 'index:unsettled', found.instance, record)
  end
  if type(found.estate) == 'string' and found.estate ~= '' then
    redis.call('ZADD', base .. 'index:dead', now, found.estate)
    redis.call('ZREMRANGEBYSCORE', base .. 'index:dead', '-inf', now - 86400000)
  end
end

