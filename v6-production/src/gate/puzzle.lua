-- Notes a wrong answer: the address behind that puzzle is spent, for its buyer, before anybody has it.
--
-- KEYS  1 spent (set)
-- ARGV  1 buyer and number (8 bytes each)  2 how long (milliseconds)  3 how many there may be
-- Returns 1, or 0 if there are too many

if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[3]) then
  return 0
end
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
