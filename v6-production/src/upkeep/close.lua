
-- Takes a sale off admission: from now on nothing new is reserved.
--
-- KEYS  1 fence  2 sale (hash)
-- ARGV  1 the lease's number
-- Returns the epoch it had, and the number of its last order

if fenced(KEYS[1], ARGV[1]) then return FENCED end
local known = redis.call('HMGET', KEYS[2], 'epoch', 'number')
redis.call('HSET', KEYS[2], 'epoch', 0)
return known
