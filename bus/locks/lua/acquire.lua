-- Take a lock or a permit, or stand in line for it.
-- KEYS  see line.lua
-- ARGV  token, TTL in ms, ms for which this waiter counts as alive (0: do not wait), how many may
--       share (0: exclusive, -1: any number), prefix of the instances' channels, note to leave
--       while it is held ('': none), channel to tell of it, a fence to exceed
-- Returns {1, fence} with the lock, {0, ms after which to try again} without.
-- The line is first come, first served: a sharer enters beside others, but not past an exclusive
-- waiter. A repeated call of who holds it already renews it, under a fence of its own.
local token, ttl, alive, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
tidy()
local holder = redis.call('GET', LOCK)
local left = redis.call('PTTL', LOCK)
if holder and left == -1 then
  -- A foreign hand wrote it: nothing of ours would live for ever.
  left = 30000
  redis.call('PEXPIRE', LOCK, left)
end
local sharing = redis.call('ZCARD', SHARERS)
local ahead = redis.call('ZRANK', WAITERS, token) or redis.call('ZCARD', WAITERS)

local function past_an_exclusive_one()
  if limit ~= -1 or ahead == 0 then return false end
  for _, other in ipairs(redis.call('ZRANGE', WAITERS, 0, ahead - 1)) do
    if not shares(other) then return true end
  end
  return false
end

local function may_enter()
  if holder == token or redis.call('ZSCORE', SHARERS, token) then return true end
  if holder then return false end
  if limit == 0 then return sharing == 0 and ahead == 0 end
  if limit > 0 then return sharing + ahead < limit end
  return not past_an_exclusive_one()
end

if may_enter() then
  local fence = number_behind(FENCE, ARGV[8])
  redis.call('SET', FENCE, fence, 'EX', seconds_to_keep(fence))
  if limit == 0 then
    redis.call('SET', LOCK, token, 'PX', ARGV[2])
  else
    redis.call('ZADD', SHARERS, whole(now + ttl), token)
    keep_for(SHARERS, ttl)
    local next_one = redis.call('ZRANGE', WAITERS, MOST_WOKEN, MOST_WOKEN)[1]
    if next_one and shares(next_one) then wake(next_one, ARGV[5]) end
  end
  leave_line(token)
  if ARGV[6] ~= '' then
    redis.call('SET', NOTE, fence .. ' ' .. ARGV[6], 'EX', 604800)
    redis.call('PUBLISH', ARGV[7], fence)
  end
  return {1, fence}
end

if alive > 0 then
  if not redis.call('ZSCORE', WAITERS, token) then
    local last = tonumber(redis.call('ZRANGE', WAITERS, -1, -1, 'WITHSCORES')[2] or '0')
    redis.call('ZADD', WAITERS, whole(math.max(last + 1, now_us)), token)
  end
  redis.call('ZADD', ALIVE, whole(now + alive), token)
  redis.call('PEXPIRE', WAITERS, 3600000)
  redis.call('PEXPIRE', ALIVE, 3600000)
end
local soonest
if holder then
  soonest = left
elseif sharing > 0 and (limit > 0 or ahead == 0) then
  soonest = tonumber(redis.call('ZRANGE', SHARERS, 0, 0, 'WITHSCORES')[2]) - now
else
  local first = redis.call('ZRANGE', WAITERS, 0, 0)[1]
  soonest = first and tonumber(redis.call('ZSCORE', ALIVE, first) or '0') - now or 1
end
return {0, math.max(1, math.ceil(soonest))}
