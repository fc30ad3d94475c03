-- Notes a wrong answer: marks the purchase path behind the puzzle as used, before it is issued.
--
-- KEYS  1 spent (set)
-- ARGV  1 buyer and path id (8 bytes each)  2 how long to keep the set (milliseconds)  3 the most members of the set
-- Returns 1, or 0 if the set is full

if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[3]) then
  return 0
end
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
