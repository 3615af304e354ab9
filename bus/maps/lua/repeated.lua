-- Functions for the scripts that write maps (behind map_entries.lua): a write over a connection that
-- broke is repeated under the same tag, and carried out once.
-- The changes stream knows what was carried out. A repeated attempt also leaves its outcome at MARK,
-- for an earlier attempt that was on its way and arrives only after it.

local function field(entry, name)
  for i = 1, #entry, 2 do
    if entry[i] == name then return entry[i + 1] end
  end
end

-- The outcome of the change with `tag`, if there is one. `elapsed`: ms since the first attempt.
local function find_change(tag, elapsed)
  local oldest, from, seen = now - elapsed, '+', 0
  while true do
    local rows = redis.call('XREVRANGE', CHANGES, from, '-', 'COUNT', 100)
    for _, row in ipairs(rows) do
      if field(row[2], 'tag') == tag then
        return {1, field(row[2], 'version'), field(row[2], 'record')}
      end
      seen = seen + 1
      local ms = tonumber(row[1]:match('^%d+'))
      -- Some more are read, for a clock that was set.
      if ms < oldest and seen > 1000 then return nil end
      from = '(' .. row[1]
      if #rows < 100 and row == rows[#rows] and ms >= oldest then
        local after = field(row[2], 'after')
        -- Changes of that time have been trimmed: nobody knows.
        if after and after ~= '0' then return {3, '', ''} end
      end
    end
    if #rows < 100 then return nil end
  end
end

-- The record that stands under `key`, and what to answer if it is not of the version `wanted` ('':
-- any).
local function standing(key, wanted)
  reap(100)
  if is_due(key) then expire(key) end
  local record = redis.call('HGET', MAP, key)
  if wanted == '' then return record end
  local version = '0'
  if record then version = version_of(record) end
  if not version then return record, {2, '', record} end
  if version ~= wanted then return record, {0, version, record or ''} end
  return record
end

-- Carry `write` out, unless an attempt under this tag has been.
local function once(tag, elapsed, write)
  local mark = redis.call('GET', MARK)
  if mark then return cjson.decode(mark) end
  if elapsed == '' then return write() end
  local outcome = find_change(tag, tonumber(elapsed)) or write()
  redis.call('SET', MARK, cjson.encode(outcome), 'EX', 3600)
  return outcome
end
