-- Changes the window and the stock of an open sale. Reserved units stay reserved.
--
-- KEYS  1 fence  2 sale (hash)  3… the sale's other keys
-- ARGV  1 the lease's number  2 epoch  3 opens_at  4 closes_at  5 units in total  6 when the keys expire (milliseconds since 1970)
-- Returns the number of units left, or nil if the sale has another epoch

if fenced(KEYS[1], ARGV[1]) then return FENCED end
local sale = redis.call('HMGET', KEYS[2], 'epoch', 'units')
if sale[1] ~= ARGV[2] then return false end
redis.call('HSET', KEYS[2], 'opens_at', ARGV[3], 'closes_at', ARGV[4], 'units', ARGV[5])
for n = 2, #KEYS do redis.call('PEXPIREAT', KEYS[n], ARGV[6]) end
return redis.call('HINCRBY', KEYS[2], 'stock', ARGV[5] - (sale[2] or ARGV[5]))
