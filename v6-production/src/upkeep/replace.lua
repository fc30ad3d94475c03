
-- Replaces keys by their temporary keys, in one step. A missing temporary key means that the new value is empty.
--
-- KEYS  1 fence  then pairs: a temporary key, and the key that it replaces
-- ARGV  1 the lease's number  2 when the keys expire (milliseconds since 1970)

if fenced(KEYS[1], ARGV[1]) then return FENCED end
for n = 2, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[n]) == 1 then
    redis.call('UNLINK', KEYS[n + 1]) -- frees a large key in the background, while other clients are served
    redis.call('RENAME', KEYS[n], KEYS[n + 1])
    redis.call('PEXPIREAT', KEYS[n + 1], ARGV[2])
  else
    redis.call('UNLINK', KEYS[n + 1])
  end
end
