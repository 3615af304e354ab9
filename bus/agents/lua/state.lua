-- Write the whole of an agent's state.
-- KEYS  state hash
-- ARGV  field, value...
redis.call('DEL', KEYS[1])
return redis.call('HSET', KEYS[1], unpack(ARGV))
