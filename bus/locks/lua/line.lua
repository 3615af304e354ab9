-- Functions for the scripts of locks and semaphores (behind growing.lua).
-- KEYS  lock (the token of its exclusive holder), fence, waiters zset (by arrival), waiters'
--       liveness zset (by expiry time), sharers zset (by expiry time), note of the holder
-- A token is <instance>:<id>:x for exclusive or <instance>:<id>:s for shared use.
local LOCK, FENCE, WAITERS, ALIVE, SHARERS, NOTE =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]

for place = 2, #KEYS do
  -- A call that comes from a holding (`holdings.py`) may have been written by anybody.
  if KEYS[place]:sub(1, #LOCK + 1) ~= LOCK .. ':' then error('not the keys of one lock') end
end

local function shares(token) return token:sub(-2) == ':s' end

local function leave_line(token)
  redis.call('ZREM', WAITERS, token)
  redis.call('ZREM', ALIVE, token)
end

-- Drop what has run out: sharers, and waiters without a sign of life. It is the first that the
-- scripts write, since it takes no memory: Redis at its maxmemory refuses a script whose first write
-- could take some, though locks are what those need who make room.
local function tidy()
  redis.call('ZREMRANGEBYSCORE', SHARERS, '-inf', now)
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', ALIVE, '-inf', now, 'LIMIT', 0, 1000)) do
    leave_line(gone)
  end
  local first = redis.call('ZRANGE', WAITERS, 0, 0)[1]
  while first and not redis.call('ZSCORE', ALIVE, first) do
    redis.call('ZREM', WAITERS, first)
    first = redis.call('ZRANGE', WAITERS, 0, 0)[1]
  end
end

local function keep_for(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, whole(ms)) end
end

local function wake(token, channels)
  redis.call('PUBLISH', channels .. (token:match('^[^:]+') or ''), 'wake:' .. token)
end

-- So many are woken at once; each that enters wakes the next behind them.
local MOST_WOKEN = 100

-- Wake everybody who may enter now: the first in line, or the sharers at its head.
local function wake_line(channels, limit)
  if redis.call('EXISTS', LOCK) == 1 then return end
  local sharing = redis.call('ZCARD', SHARERS)
  for place, token in ipairs(redis.call('ZRANGE', WAITERS, 0, MOST_WOKEN - 1)) do
    if not shares(token) then
      if place == 1 and sharing == 0 then wake(token, channels) end
      return
    end
    if limit > 0 and sharing + place > limit then return end
    wake(token, channels)
  end
end
