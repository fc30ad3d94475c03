-- Reserves units of one sale. Each attempt is all or nothing, and no other command runs between two lines of this script.
--
-- KEYS  1 sale (hash)  2 held (hash)  3 outbox (stream)  4 tries (hash)  5 spent (set)  6 denied (set)  7 ended (hash)
-- ARGV  1 epoch that the caller knows  2 the id that order numbers are added to  3 channel for news of stock
--       4 the sale's id  5 the highest order number
--       6 attempts of a buyer in a frequency window  7 the window (milliseconds)  8 the most buyers in a window
--       9 how long a path is valid (milliseconds)  10 1 if this call may be a repetition, else 0
--       11 how long Redis keeps a sale after it has closed (milliseconds)  12 path ids per millisecond
--       then for each attempt: buyer, request id, path (8 bytes each)
-- Returns for each attempt: the order's id, or one of the codes below (negative)

local WARMING, NOT_OPEN, CLOSED, LIMIT_REACHED, SOLD_OUT, DENIED, WRONG_PATH, CROWDED = -1, -2, -3, -4, -5, -6, -7, -8
local TOO_OFTEN = -1000 -- minus the milliseconds until the window ends

local sale = redis.call('HMGET', KEYS[1], 'epoch', 'stock', 'number', 'opens_at', 'closes_at', 'replid')
local epoch, stock, number = sale[1], tonumber(sale[2]), tonumber(sale[3])
local opens_at, closes_at = tonumber(sale[4]), tonumber(sale[5])

-- The witness: are these the data with which the sale was rebuilt? The replication id names a history of writes. Redis takes a new
-- one when it starts and when it is promoted, so data that may lack the last writes never have the id that the sale has. (`run_id`
-- would stay the same when a primary is demoted and then promoted with older data.) The script reads the id itself, because the
-- caller's value could be out of date when the script runs.
local info = redis.call('INFO', 'replication')
local data = string.find(info, 'role:master', 1, true) and string.match(info, 'master_replid:(%x+)')
local ready = epoch == ARGV[1] and data and data == sale[6]

-- Redis's clock, one for all instances.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local base, last_number = tonumber(ARGV[2]), tonumber(ARGV[5])
local tries, the_while, most_buyers = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local path_lives, afterwards, paths_per_ms = tonumber(ARGV[9]), tonumber(ARGV[11]), tonumber(ARGV[12])

-- The counts of all buyers are one hash, which expires at the end of the window (fixed window).
local left = redis.call('PTTL', KEYS[4])
-- Most sales have none of these keys.
local has_spent, has_denied = redis.call('EXISTS', KEYS[5]) == 1, redis.call('EXISTS', KEYS[6]) == 1
local has_ended = redis.call('EXISTS', KEYS[7]) == 1

-- Counts an attempt. Returns a code if it is refused.
local function too_often(buyer)
  local count = redis.call('HINCRBY', KEYS[4], buyer, 1)
  if left < 0 then
    redis.call('PEXPIRE', KEYS[4], the_while)
    left = the_while
  end
  if count > tries then return TOO_OFTEN - left end
  if count == 1 and redis.call('HLEN', KEYS[4]) > most_buyers then
    redis.call('HDEL', KEYS[4], buyer)
    return CROWDED
  end
end

local function reserve(buyer, request, path)
  -- The sale is missing, lost, or was rebuilt since the caller read its epoch: the number of units left is unknown.
  if not ready then return WARMING end

  -- A repetition of a request whose answer was lost gets the same answer.
  local held = redis.call('HGET', KEYS[2], buyer)
  if held and string.sub(held, 17) == request then
    return (struct.unpack('>I8', held))
  end
  -- Also if its order has ended since: during a sale, a key stands for one order.
  local ended = has_ended and redis.call('HGET', KEYS[7], buyer .. request)
  if ended then return (struct.unpack('>I8', ended)) end

  if has_denied and redis.call('SISMEMBER', KEYS[6], buyer) == 1 then return DENIED end

  -- Every attempt counts, also one that is refused below.
  if ARGV[10] == '0' then
    local refused = too_often(buyer)
    if refused then return refused end
  end

  if now < opens_at then return NOT_OPEN end
  if now >= closes_at then return CLOSED end

  -- The path has expired, or the buyer's unit, or a released one, was bought with it.
  if now >= math.floor(struct.unpack('>I8', path) / paths_per_ms) + path_lives then return WRONG_PATH end
  if held and string.sub(held, 9, 16) == path then return WRONG_PATH end
  if has_spent and redis.call('SISMEMBER', KEYS[5], buyer .. path) == 1 then return WRONG_PATH end

  -- One unit per buyer.
  if held then return LIMIT_REACHED end

  if stock <= 0 then return SOLD_OUT end
  -- No order numbers are left. A new epoch has more.
  if number >= last_number then return WARMING end

  -- From here on the unit is taken: stock, reservation (with its path) and outbox entry are written together.
  stock, number = stock - 1, number + 1
  local order = struct.pack('>I8', base + number)
  redis.call('HSET', KEYS[1], 'stock', stock, 'number', number)
  redis.call('HSET', KEYS[2], buyer, order .. path .. request)
  redis.call('XADD', KEYS[3], '*', 'r', order .. buyer .. path .. request)
  if stock == 0 then redis.call('PUBLISH', ARGV[3], 'sold-out ' .. ARGV[4]) end
  return base + number
end

local answers, before = {}, number
for n = 13, #ARGV, 3 do
  answers[#answers + 1] = reserve(ARGV[n], ARGV[n + 1], ARGV[n + 2])
end
-- The reservations are kept some time after the sale has closed, for late requests.
if number ~= before then
  redis.call('PEXPIREAT', KEYS[2], closes_at + afterwards)
  redis.call('PERSIST', KEYS[3]) -- an empty outbox expires, but an entry must not
end
return answers
