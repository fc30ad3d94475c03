-- Makes a sale known to Redis, unless it is. Called again after a crash half-way, it changes nothing.
--
-- KEYS  1 sale (hash)
-- ARGV  1 epoch  2 units left  3 opens at  4 closes at (milliseconds)

if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'stock', ARGV[2], 'number', 0, 'opens_at', ARGV[3], 'closes_at', ARGV[4])
  redis.call('PEXPIREAT', KEYS[1], ARGV[4] + 86400000)
end
