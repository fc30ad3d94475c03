-- Takes reservations back whose orders SQL knows as expired or failed. A reservation that is not there any more was taken
-- back before: so this may be called again and again.
--
-- KEYS  1 sale (hash)  2 held (hash)  3 spent (set)  4 ended (hash)
-- ARGV  1 channel for news of stock  2 the sale's number  3 how long a path is good (milliseconds)
--       4 how long Redis remembers a sale that is over (milliseconds)
--       then for each order: buyer (8 bytes), order's id (8 bytes), 1 if there is a unit to be sold again, 0 if SQL had none for it
-- Returns how many units are for sale again, or -1 while the sale is closed: it may be about to be made from a picture in which
-- these orders still hold their units

if redis.call('HEXISTS', KEYS[1], 'replid') == 0 then return -1 end

local units = 0
for n = 5, #ARGV, 3 do
  local held = redis.call('HGET', KEYS[2], ARGV[n])
  -- Another id is a later reservation of the same buyer.
  if held and string.sub(held, 1, 8) == ARGV[n + 1] then
    redis.call('HDEL', KEYS[2], ARGV[n])
    -- The buyer may buy again, at another address.
    redis.call('SADD', KEYS[3], ARGV[n] .. string.sub(held, 9, 16))
    redis.call('PEXPIRE', KEYS[3], ARGV[3])
    -- The request that made the reservation is answered with this order from now on, too.
    redis.call('HSET', KEYS[4], ARGV[n] .. string.sub(held, 17), ARGV[n + 1])
    -- Of one that SQL has refused as sold out there is a unit only if Redis has not counted one too many.
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
