-- Append a batch to a stream, each message once.
-- KEYS  stream, last numbers seen of this producer [, the stream's epoch]
-- ARGV  number of the first message, seconds to remember the producer, candidate epoch, messages...
-- Returns the stream's epoch ('' where it has none), the last number seen before, then the entry
-- ids; an empty id where the message is in the stream already.
-- The numbering is that of Kafka's idempotent producer (KIP-98): a retry carries the same numbers.
-- What is remembered has the form that put.lua gives it, so that a producer may use both on a stream:
-- here nothing is refused.
if KEYS[3] and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SET', KEYS[3], ARGV[3])
end
local number = tonumber(ARGV[1])
local seen = redis.call('GET', KEYS[2]) or '0 0'
local last = tonumber(seen:match('^(%d+) %d+$') or 0)
local ids = {KEYS[3] and redis.call('GET', KEYS[3]) or '', last}
for i = 4, #ARGV do
  if number > last then
    ids[#ids + 1] = redis.call('XADD', KEYS[1], '*', 'e', ARGV[i])
  else
    ids[#ids + 1] = ''
  end
  number = number + 1
end
if number - 1 > last then
  redis.call('SET', KEYS[2], string.format('%.0f 0', number - 1), 'EX', ARGV[2])
end
return ids
