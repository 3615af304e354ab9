-- Claim the run of the period that it is now.
-- KEYS  state hash, fence (behind growing.lua)
-- ARGV  token, period in ms, TTL of the claim in ms, most attempts in a period
-- Returns {1, slot, fence, attempt} claimed; {0, ms after which to look again} not.
-- A repeated call of who has claimed it already renews the claim, under a fence of its own.
local STATE, FENCE = KEYS[1], KEYS[2]
local token, period, ttl, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local slot = math.floor(now / period)
local known = redis.call('HMGET', STATE, 'slot', 'token', 'state', 'until', 'attempt')
local last = tonumber(known[1] or '-1') or -1
local state, until_, attempt = known[3], tonumber(known[4] or '0') or 0, tonumber(known[5] or '0') or 0
local ends = (slot + 1) * period - now

if known[2] == token and state == 'running' then
  slot = last
elseif last > slot and (last - slot) * period <= math.max(3600000, 2 * period) then
  -- The clock was set back by a little: that period has had its run.
  return {0, whole(ends + (last - slot) * period)}
elseif slot == last then
  if state == 'done' or attempt >= most then return {0, whole(ends)} end
  if until_ > now then return {0, whole(math.min(ends, until_ - now))} end
  attempt = attempt + 1
else
  -- The run of an earlier period goes on: two do not run side by side.
  if state == 'running' and until_ > now then
    return {0, whole(math.min(until_ - now, 500, ends))}
  end
  attempt = 1
end

local fence = number_behind(FENCE)
-- Redis at its maxmemory refuses a script whose first write could take memory, though jobs are what
-- frees some: so the first write takes none.
redis.call('HDEL', STATE, '')
redis.call('SET', FENCE, fence, 'EX', seconds_to_keep(fence))
redis.call('HSET', STATE, 'slot', whole(slot), 'token', token, 'state', 'running',
  'until', whole(now + ttl), 'attempt', attempt)
redis.call('PEXPIRE', STATE, whole(math.max(604800000, 3 * period + ttl)))
return {1, whole(slot), fence, attempt}
