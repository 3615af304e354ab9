-- Give a lock or a permit up, or leave the line; wake who may enter now.
-- KEYS  see line.lua
-- ARGV  token, prefix of the instances' channels, how many may share (0: exclusive, -1: any
--       number), channel to tell of it ('': none)
-- Returns 1 if this token held it. A stranger's release changes nothing.
local held = 0
if shares(ARGV[1]) then
  local until_ = tonumber(redis.call('ZSCORE', SHARERS, ARGV[1]) or '0')
  redis.call('ZREM', SHARERS, ARGV[1])
  if until_ > now then held = 1 end
elseif redis.call('GET', LOCK) == ARGV[1] then
  redis.call('DEL', LOCK, NOTE)
  held = 1
  if ARGV[4] ~= '' then redis.call('PUBLISH', ARGV[4], '') end
end
leave_line(ARGV[1])
tidy()
wake_line(ARGV[2], tonumber(ARGV[3]))
return held
