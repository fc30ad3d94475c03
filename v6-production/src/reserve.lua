-- Reserves units of one sale: all or nothing for each attempt, and nothing comes between two lines of this.
--
-- KEYS  1 sale (hash)  2 held (hash)  3 outbox (stream)  4 tries (hash)  5 spent (set)  6 denied (set)  7 ended (hash)
-- ARGV  1 epoch that the caller knows  2 the id that order numbers are added to  3 channel for news of stock
--       4 the sale's number  5 the last order number there is
--       6 attempts of a buyer in a while  7 the while (milliseconds)  8 buyers who are counted at the same time
--       9 how long a path is good (milliseconds)  10 1 if this may have been asked before, else 0
--       11 how long Redis remembers a sale that is over (milliseconds)  12 path numbers in a millisecond
--       then for each attempt: buyer, request id, path (8 bytes each)
-- Returns for each attempt: the order's id, or one of the codes below (negative)

local WARMING, NOT_OPEN, CLOSED, LIMIT_REACHED, SOLD_OUT, DENIED, WRONG_PATH, CROWDED = -1, -2, -3, -4, -5, -6, -7, -8
local TOO_OFTEN = -1000 -- and so many milliseconds to wait

local sale = redis.call('HMGET', KEYS[1], 'epoch', 'stock', 'number', 'opens_at', 'closes_at', 'replid')
local epoch, stock, number = sale[1], tonumber(sale[2]), tonumber(sale[3])
local opens_at, closes_at = tonumber(sale[4]), tonumber(sale[5])

-- The witness: are these the data that the sale was made ready with? Redis names a history of writes by its replication id. It
-- takes a new one when it starts and when it is promoted, so data that may lack the last writes never have the id that is written
-- down here. (The process's `run_id` stays the same when a primary is demoted and promoted back with older data.) The id is read
-- in the script, because one that the caller has read may be out of date by the time the script runs.
local info = redis.call('INFO', 'replication')
local data = string.find(info, 'role:master', 1, true) and string.match(info, 'master_replid:(%x+)')
local ready = epoch == ARGV[1] and data and data == sale[6]

-- One clock for all instances: Redis's own.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local base, last_number = tonumber(ARGV[2]), tonumber(ARGV[5])
local tries, the_while, most_buyers = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local path_lives, afterwards, paths_per_ms = tonumber(ARGV[9]), tonumber(ARGV[11]), tonumber(ARGV[12])

-- The buyers' counts are one hash that lives for a while: with it all of them begin anew.
local left = redis.call('PTTL', KEYS[4])
-- Most sales have neither.
local has_spent, has_denied = redis.call('EXISTS', KEYS[5]) == 1, redis.call('EXISTS', KEYS[6]) == 1
local has_ended = redis.call('EXISTS', KEYS[7]) == 1

-- Counts an attempt.
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
  -- Not in Redis yet, lost, or rebuilt since the caller looked: nobody can say what is left.
  if not ready then return WARMING end

  -- The same request again, because its first answer did not arrive: the same answer.
  local held = redis.call('HGET', KEYS[2], buyer)
  if held and string.sub(held, 17) == request then
    return (struct.unpack('>I8', held))
  end
  -- Also if the order has ended since: a key is good for one order, for as long as the sale.
  local ended = has_ended and redis.call('HGET', KEYS[7], buyer .. request)
  if ended then return (struct.unpack('>I8', ended)) end

  if has_denied and redis.call('SISMEMBER', KEYS[6], buyer) == 1 then return DENIED end

  -- Every attempt counts, also those that are refused below.
  if ARGV[10] == '0' then
    local refused = too_often(buyer)
    if refused then return refused end
  end

  if now < opens_at then return NOT_OPEN end
  if now >= closes_at then return CLOSED end

  -- Too old; or the buyer's unit was bought with it, or one that has been given back.
  if now >= math.floor(struct.unpack('>I8', path) / paths_per_ms) + path_lives then return WRONG_PATH end
  if held and string.sub(held, 9, 16) == path then return WRONG_PATH end
  if has_spent and redis.call('SISMEMBER', KEYS[5], buyer .. path) == 1 then return WRONG_PATH end

  -- One for each buyer, and this one has it.
  if held then return LIMIT_REACHED end

  if stock <= 0 then return SOLD_OUT end
  -- Out of order numbers: only a new epoch has more.
  if number >= last_number then return WARMING end

  -- From here on it is taken: the unit, the buyer's share, the path, and the order to make an order of it, together.
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
-- Of use while the sale is open and a while longer, for latecomers and for those who look back.
if number ~= before then
  redis.call('PEXPIREAT', KEYS[2], closes_at + afterwards)
  redis.call('PERSIST', KEYS[3]) -- an empty outbox ends with its sale, and an entry does not
end
return answers
