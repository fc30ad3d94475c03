-- Acknowledges and deletes entries of an outbox in one step: between the two, an entry would be nobody's and never be read again.
-- An empty outbox ends with its sale. `reserve.lua` takes the end away when it adds an entry.
--
-- KEYS  1 outbox (stream)
-- ARGV  1 the relays' group  2 when an empty outbox ends (milliseconds since 1970)  then the entries' ids, if any

for n = 3, #ARGV do
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[n])
  redis.call('XDEL', KEYS[1], ARGV[n])
end
if redis.call('XLEN', KEYS[1]) == 0 then redis.call('PEXPIREAT', KEYS[1], ARGV[2]) end
