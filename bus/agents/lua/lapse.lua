-- Have a consumer count as dead from now on: what it holds goes to others at their next look.
-- KEYS  the group's consumers zset (by expiry time)
-- ARGV  consumer
return redis.call('ZADD', KEYS[1], 'XX', 1, ARGV[1])
