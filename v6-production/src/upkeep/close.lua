
-- Closes a sale: removes its replication id, so nothing is reserved until it is rebuilt. Its epoch stays; the rebuild gives it a
-- later one.
--
-- KEYS  1 fence  2 sale (hash)
-- ARGV  1 the lease's number
-- Returns the epoch of the sale, and the number of its last order

if fenced(KEYS[1], ARGV[1]) then return FENCED end
redis.call('HDEL', KEYS[2], 'replid')
return redis.call('HMGET', KEYS[2], 'epoch', 'number')
