-- Mark an agent's state as offline, unless a newer instance has written it since.
-- KEYS  state hash
-- ARGV  instance, seconds to keep the state for
if redis.pcall('HGET', KEYS[1], 'instance') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'status', 'offline')
  redis.call('EXPIRE', KEYS[1], ARGV[2])
  return 1
end
return 0
