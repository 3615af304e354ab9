-- Become present.
-- KEYS  presence key of the member, index zset
-- ARGV  prefix of the presence keys, most events kept, agent, member, how a record of this instance
--       begins, record, TTL in ms, takeover (0 or 1)
-- Returns {1, '', whether it was not present before} when present; {0, record of the one that is
-- there, 1} when the id is taken.
-- An agent is one instance, or several that are all shared.
-- Redis at its maxmemory refuses a script whose first write could take memory, and among those who
-- join is the sidecar that makes room: so the first write takes none.
redis.call('ZREM', KEYS[2], '')
base, most_events = ARGV[1], ARGV[2]
local agent, member, beginning, record = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local function present(name)
  -- pcall: what is not a string there is not a record; it is overwritten.
  local found = redis.pcall('GET', base .. 'agent:' .. name)
  return type(found) == 'string' and found or nil
end

local others = {}
local existing = present(member)
local mine = existing and existing:sub(1, #beginning) == beginning
if existing and not mine then others[1] = {member, existing} end
if member == agent then
  local instances = redis.pcall('SMEMBERS', base .. 'instances:' .. agent)
  if not instances.err then
    for _, name in ipairs(instances) do
      local other = name:sub(1, #agent + 1) == agent .. '#' and present(name)
      if other then others[#others + 1] = {name, other} end
    end
  end
else
  local alone = present(agent)
  if alone then others[#others + 1] = {agent, alone} end
end
if #others > 0 and ARGV[8] == '0' then return {0, others[1][2], 1} end
for _, other in ipairs(others) do
  redis.call('DEL', base .. 'agent:' .. other[1])
  strike(other[1], other[2])
  tell('left', other[1], other[2], 'taken over')
end

-- One that is due but not reaped yet must not lose its expiry to the newcomer.
local before = redis.call('HGET', base .. 'index:records', member)
if before and not existing and before:sub(1, #beginning) ~= beginning then
  expire(member, before)
elseif before and before ~= record then
  strike(member, before)
end

redis.call('SET', KEYS[1], record, 'PX', ARGV[7])
redis.call('ZADD', base .. 'index', now + tonumber(ARGV[7]), member)
redis.call('HSET', base .. 'index:records', member, record)
enlist(member, record)
if not mine then tell('joined', member, record) end
return {1, '', mine and 0 or 1}
