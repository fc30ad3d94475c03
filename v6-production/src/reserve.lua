-- Reserves units of one sale: all or nothing for each attempt, and nothing comes between two lines of this.
--
-- KEYS  1 sale (hash)  2 held (hash)  3 outbox (stream)
-- ARGV  1 epoch that the caller knows  2 the id that order numbers are added to  3 channel for news of stock
--       4 the sale's number  5 the last order number there is
--       then for each attempt: buyer (8 bytes), request id (16 bytes)
-- Returns for each attempt: the order's id, or one of the codes below (negative)

local WARMING, NOT_OPEN, CLOSED, LIMIT_REACHED, SOLD_OUT = -1, -2, -3, -4, -5

local sale = redis.call('HMGET', KEYS[1], 'epoch', 'stock', 'number', 'opens_at', 'closes_at')
local epoch, stock, number = sale[1], tonumber(sale[2]), tonumber(sale[3])
local opens_at, closes_at = tonumber(sale[4]), tonumber(sale[5])

-- One clock for all instances: Redis's own.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local base, last_number = tonumber(ARGV[2]), tonumber(ARGV[5])

local function reserve(buyer, request)
  -- Not in Redis yet, lost, or rebuilt since the caller looked: nobody can say what is left.
  if epoch ~= ARGV[1] then return WARMING end

  -- The same request again, because its first answer did not arrive: the same answer.
  local held = redis.call('HGET', KEYS[2], buyer)
  if held and string.sub(held, 9) == request then
    return (struct.unpack('>I8', held))
  end

  if now < opens_at then return NOT_OPEN end
  if now >= closes_at then return CLOSED end

  -- One for each buyer, and this one has it.
  if held then return LIMIT_REACHED end

  if stock <= 0 then return SOLD_OUT end
  -- Out of order numbers: only a new epoch has more.
  if number >= last_number then return WARMING end

  -- From here on it is taken: the unit, the buyer's share, and the order to make an order of it, together.
  stock, number = stock - 1, number + 1
  local order = struct.pack('>I8', base + number)
  redis.call('HSET', KEYS[1], 'stock', stock, 'number', number)
  redis.call('HSET', KEYS[2], buyer, order .. request)
  redis.call('XADD', KEYS[3], '*', 'r', order .. buyer)
  if stock == 0 then redis.call('PUBLISH', ARGV[3], 'sold-out ' .. ARGV[4]) end
  return base + number
end

local answers, before = {}, number
for n = 6, #ARGV, 2 do
  answers[#answers + 1] = reserve(ARGV[n], ARGV[n + 1])
end
-- Of use while the sale is open and a day longer, for latecomers and for those who look back.
if number ~= before then redis.call('PEXPIREAT', KEYS[2], closes_at + 86400000) end
return answers
