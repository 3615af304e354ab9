-- Functions for the scripts of maps (behind growing.lua).
-- KEYS  map hash (key to JSON record), version counter, changes stream, expiry zset (key by ms)
--       [, mark of a repeated write]
-- ARGV  most changes kept, then the script's own
-- A record begins {"version":<number>, ; versions are one row of growing numbers for the whole map.
-- A change names the version `after` which it came: who reads the stream sees by it that nothing
-- is missing between two entries, whatever became of the stream or of the server's data.
local MAP, VERSION, CHANGES, EXPIRY, MARK = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local function version_of(record) return record:match('^{"version":(%d+),') end

-- Count one version up; returns it, and the one before.
local function next_version()
  local before = whole(tonumber(redis.call('GET', VERSION) or '0') or 0)
  local version = number_behind(VERSION)
  redis.call('SET', VERSION, version)
  return version, before
end

local function note_change(kind, key, by, tag, version, after, record)
  redis.call('XADD', CHANGES, 'MAXLEN', '~', ARGV[1], '*', 'kind', kind, 'key', key,
    'version', version, 'after', after, 'at', whole(now_us), 'by', by, 'tag', tag, 'record', record)
end

local function drop(kind, key, by, tag)
  -- The first write takes no memory, so that a Redis at its maxmemory does not refuse the others.
  redis.call('ZREM', EXPIRY, '')
  local version, after = next_version()
  -- Told before it is done: a script that fails is not undone, and what nobody is told of has not
  -- happened for those who watch.
  note_change(kind, key, by, tag, version, after, '')
  redis.call('HDEL', MAP, key)
  redis.call('ZREM', EXPIRY, key)
  if redis.call('EXISTS', MAP) == 0 then
    -- What an empty map leaves behind is not kept for ever.
    redis.call('EXPIRE', VERSION, seconds_to_keep(version))
    redis.call('EXPIRE', CHANGES, seconds_to_keep(version))
  end
  return version
end

local function is_due(key)
  local at = tonumber(redis.call('ZSCORE', EXPIRY, key))
  return at and at <= now
end

local function expire(key)
  if redis.call('HEXISTS', MAP, key) == 1 then
    drop('expired', key, '', '')
  else
    redis.call('ZREM', EXPIRY, key)
  end
end

-- Turn up to `most` keys that are due into one `expired` change each.
local function reap(most)
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', now, 'LIMIT', 0, most)) do
    expire(key)
  end
end

-- ms until the next key is due, or -1.
local function next_due()
  local soonest = redis.call('ZRANGE', EXPIRY, 0, 0, 'WITHSCORES')[2]
  return soonest and math.max(0, tonumber(soonest) - now) or -1
end

local function last_change()
  local last = redis.call('XREVRANGE', CHANGES, '+', '-', 'COUNT', 1)[1]
  return last and last[1] or '0-0'
end
