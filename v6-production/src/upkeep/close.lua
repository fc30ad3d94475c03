
-- Closes a sale: it no longer says which data it was made ready with, so nothing is reserved before it is rebuilt. Its epoch
-- stays: a rebuild gives it a later one.
--
-- KEYS  1 fence  2 sale (hash)
-- ARGV  1 the lease's number
-- Returns its epoch, and the number of its last order

if fenced(KEYS[1], ARGV[1]) then return FENCED end
redis.call('HDEL', KEYS[2], 'replid')
return redis.call('HMGET', KEYS[2], 'epoch', 'number')
