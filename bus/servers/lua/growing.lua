-- Functions for other scripts: the server's clock, and numbers that only grow.
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000)

local function whole(number) return string.format('%.0f', number) end

-- The number behind the one that `key` counts: max(last + 1, server time in us), so that it grows
-- where the clock steps back (by the counter) and where the counter is lost (by the clock). It is
-- also above `seen`, if given: what somebody knows from elsewhere.
local function number_behind(key, seen)
  local last = tonumber(redis.call('GET', key) or '0') or 0
  if last >= 9007199254740991 then
    error('the counter ' .. key .. ' was written by a foreign hand and cannot grow: delete it')
  end
  return whole(math.max(last + 1, now_us, (tonumber(seen) or 0) + 1))
end

-- Seconds after which a counter may be forgotten: a week, and not before the clock has passed it.
local function seconds_to_keep(number)
  return whole(604800 + math.max(0, math.ceil((tonumber(number) - now_us) / 1000000)))
end
