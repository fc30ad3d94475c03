-- Releases reservations whose orders are expired or failed in SQL. A reservation that is missing was released before, so this
-- script may be repeated.
--
-- KEYS  1 sale (hash)  2 held (hash)  3 spent (set)  4 ended (hash)
-- ARGV  1 channel for news of stock  2 the sale's number  3 how long a path is valid (milliseconds)
--       4 how long Redis keeps a sale after it has closed (milliseconds)
--       then for each order: buyer (8 bytes), order's id (8 bytes), 1 if a unit becomes free, 0 if SQL had no unit for the order
-- Returns the number of released units, or -1 while the sale is closed: it may be under rebuild from a snapshot in which these
-- orders still hold their units

if redis.call('HEXISTS', KEYS[1], 'replid') == 0 then return -1 end

local units = 0
for n = 5, #ARGV, 3 do
  local held = redis.call('HGET', KEYS[2], ARGV[n])
  -- A different id belongs to a later reservation of the same buyer.
  if held and string.sub(held, 1, 8) == ARGV[n + 1] then
    redis.call('HDEL', KEYS[2], ARGV[n])
    -- The buyer may buy again, with another path.
    redis.call('SADD', KEYS[3], ARGV[n] .. string.sub(held, 9, 16))
    redis.call('PEXPIRE', KEYS[3], ARGV[3])
    -- A repetition of the request that made the reservation is still answered with this order.
    redis.call('HSET', KEYS[4], ARGV[n] .. string.sub(held, 17), ARGV[n + 1])
    -- If SQL refused the order as sold out, the unit is free only if Redis has not counted one too many.
    local sum = tonumber(redis.call('HGET', KEYS[1], 'stock')) + units + redis.call('HLEN', KEYS[2])
    local all = tonumber(redis.call('HGET', KEYS[1], 'units'))
    if ARGV[n + 2] == '1' or (all and sum < all) then units = units + 1 end
  end
end
if redis.call('EXISTS', KEYS[4]) == 1 then
  redis.call('PEXPIREAT', KEYS[4], redis.call('HGET', KEYS[1], 'closes_at') + ARGV[4])
end
if units > 0 then
  local stock = redis.call('HINCRBY', KEYS[1], 'stock', units)
  if stock == units then redis.call('PUBLISH', ARGV[1], 'restocked ' .. ARGV[2]) end
end
return units
