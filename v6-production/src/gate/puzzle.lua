-- Takes the one answer that a puzzle gets. Ids grow with time: an older puzzle is over with a newer one.
--
-- KEYS  1 the last puzzle that each buyer has answered (hash)
-- ARGV  1 buyer  2 the puzzle's id  3 buyers who are remembered at the same time  4 how long (milliseconds)
-- Returns 1 if it had none yet, 0 if it had, -1 if there are more buyers than can be remembered

local last = redis.call('HGET', KEYS[1], ARGV[1])
if last and tonumber(last) >= tonumber(ARGV[2]) then
  return 0
end
local buyers = redis.call('HLEN', KEYS[1])
if not last and buyers >= tonumber(ARGV[3]) then
  return -1
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if buyers == 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return 1
