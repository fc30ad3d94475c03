-- Frees the attempts of a frequency window that has ended, in the background. An expiry would free them while Redis stands still.
--
-- KEYS  1 tries (hash)
-- ARGV  1 the window (milliseconds): one that ends later than that is from before the clock was set back

local ends, time = redis.call('HGET', KEYS[1], 'ends'), redis.call('TIME')
local left = ends and ends - time[1] * 1000 - math.floor(time[2] / 1000)
if left and (left <= 0 or left > tonumber(ARGV[1])) then redis.call('UNLINK', KEYS[1]) end
