-- Reserves units of one sale. Each attempt is all or nothing, and no other command runs between two lines of this script.
--
-- The attempts of a call share their reads and writes: all is read first, each attempt is decided in turn, and all is written last.
-- A write of one attempt changes these tables, so that the next attempt of the call sees it.
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
local KEPT = 60000 -- milliseconds that `tries` stays after its window, for upkeep to free it

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
local counts = ARGV[10] == '0'

local buyers = {}
for n = 13, #ARGV, 3 do buyers[#buyers + 1] = ARGV[n] end

-- The reservation of each buyer, and the attempts in this window.
local held, tried = {}, {}
for n, value in ipairs(redis.call('HMGET', KEYS[2], unpack(buyers))) do held[buyers[n]] = value end

-- The counts of all buyers are one hash, and its field `ends` is the end of the window (fixed window). At the end it is freed in the
-- background: an expiry would free it at once, and Redis would stand still. A window that ends later than a new one also ends now:
-- Redis's clock was set back.
local ends, known
local now_tried, taken, entries = {}, {}, {}
if ready and counts then
  local read = redis.call('HMGET', KEYS[4], 'ends', unpack(buyers))
  ends = tonumber(read[1])
  if ends and now < ends and ends - now <= the_while then
    for n, buyer in ipairs(buyers) do tried[buyer] = read[n + 1] end
    known = redis.call('HLEN', KEYS[4]) - 1
  else
    redis.call('UNLINK', KEYS[4])
    ends, known = now + the_while, 0
    redis.call('HSET', KEYS[4], 'ends', ends)
    redis.call('PEXPIRE', KEYS[4], the_while + KEPT)
  end
end

-- Most sales have none of these keys.
local rare = redis.call('EXISTS', KEYS[5], KEYS[6], KEYS[7]) > 0

-- Counts an attempt. Returns a code if it is refused.
local function too_often(buyer)
  local count = (tried[buyer] or 0) + 1
  if count == 1 then
    if known >= most_buyers then return CROWDED end
    known = known + 1
  end
  tried[buyer] = count
  now_tried[#now_tried + 1] = buyer
  now_tried[#now_tried + 1] = count
  if count > tries then return TOO_OFTEN - (ends - now) end
end

local function reserve(buyer, request, path)
  -- The sale is missing, lost, or was rebuilt since the caller read its epoch: the number of units left is unknown.
  if not ready then return WARMING end

  -- A repetition of a request whose answer was lost gets the same answer.
  local held_now = held[buyer]
  if held_now and string.sub(held_now, 17) == request then
    return (struct.unpack('>I8', held_now))
  end
  -- Also if its order has ended since: during a sale, a key stands for one order.
  local ended = rare and redis.call('HGET', KEYS[7], buyer .. request)
  if ended then return (struct.unpack('>I8', ended)) end

  if rare and redis.call('SISMEMBER', KEYS[6], buyer) == 1 then return DENIED end

  -- Every attempt counts, also one that is refused below.
  if counts then
    local refused = too_often(buyer)
    if refused then return refused end
  end

  if now < opens_at then return NOT_OPEN end
  if now >= closes_at then return CLOSED end

  -- The path has expired, or the buyer's unit, or a released one, was bought with it.
  if now >= math.floor(struct.unpack('>I8', path) / paths_per_ms) + path_lives then return WRONG_PATH end
  if held_now and string.sub(held_now, 9, 16) == path then return WRONG_PATH end
  if rare and redis.call('SISMEMBER', KEYS[5], buyer .. path) == 1 then return WRONG_PATH end

  -- One unit per buyer.
  if held_now then return LIMIT_REACHED end

  if stock <= 0 then return SOLD_OUT end
  -- No order numbers are left. A new epoch has more.
  if number >= last_number then return WARMING end

  -- From here on the unit is taken: stock, reservation (with its path) and outbox entry are written together, below.
  stock, number = stock - 1, number + 1
  local order = struct.pack('>I8', base + number)
  held[buyer] = order .. path .. request
  taken[#taken + 1] = buyer
  taken[#taken + 1] = held[buyer]
  entries[#entries + 1] = order .. buyer .. path .. request
  return base + number
end

local answers = {}
for n = 13, #ARGV, 3 do
  answers[#answers + 1] = reserve(ARGV[n], ARGV[n + 1], ARGV[n + 2])
end

if #now_tried > 0 then redis.call('HSET', KEYS[4], unpack(now_tried)) end
if #taken > 0 then
  redis.call('HSET', KEYS[1], 'stock', stock, 'number', number)
  redis.call('HSET', KEYS[2], unpack(taken))
  redis.call('XADD', KEYS[3], '*', 'r2', table.concat(entries))
  -- The reservations are kept some time after the sale has closed, for late requests. An empty outbox expires, an entry must not.
  if redis.call('PTTL', KEYS[2]) < 0 then redis.call('PEXPIREAT', KEYS[2], closes_at + afterwards) end
  redis.call('PERSIST', KEYS[3])
  if stock == 0 then redis.call('PUBLISH', ARGV[3], 'sold-out ' .. ARGV[4]) end
end
return answers
