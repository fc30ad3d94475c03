
-- Writes the version of the deny list that a sale has.
--
-- KEYS  1 fence  2 sale (hash)
-- ARGV  1 the lease's number  2 the version: how often the list has changed

if fenced(KEYS[1], ARGV[1]) then return FENCED end
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], 'denials', ARGV[2]) end
