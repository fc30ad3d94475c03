-- Acknowledges and deletes entries of an outbox in one step: an entry that is acknowledged and not deleted would never be read
-- again. An empty outbox expires some time after its sale. `reserve.lua` removes the expiry when it adds an entry.
--
-- KEYS  1 outbox (stream)
-- ARGV  1 the relays' consumer group  2 when an empty outbox expires (milliseconds since 1970)  then the ids of the entries, if any

if #ARGV > 2 then
  redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 3))
  redis.call('XDEL', KEYS[1], unpack(ARGV, 3))
end
if redis.call('XLEN', KEYS[1]) == 0 then redis.call('PEXPIREAT', KEYS[1], ARGV[2]) end
