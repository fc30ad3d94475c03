
-- Puts what was staged in the place of what is there, in one step. What was not staged is empty.
--
-- KEYS  1 fence  then pairs: a staged key, and the key that it replaces
-- ARGV  1 the lease's number  2 when the keys expire (milliseconds since 1970)

if fenced(KEYS[1], ARGV[1]) then return FENCED end
for n = 2, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[n]) == 1 then
    redis.call('UNLINK', KEYS[n + 1]) -- a million fields are freed beside, and not while all others wait
    redis.call('RENAME', KEYS[n], KEYS[n + 1])
    redis.call('PEXPIREAT', KEYS[n + 1], ARGV[2])
  else
    redis.call('UNLINK', KEYS[n + 1])
  end
end
