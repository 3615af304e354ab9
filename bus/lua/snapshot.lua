-- Everybody who is present, and the event up to which that is true.
-- KEYS  records hash, events stream
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
return {last and last[1] or '0-0', redis.call('HGETALL', KEYS[1])}
