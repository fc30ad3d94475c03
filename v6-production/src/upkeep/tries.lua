-- Frees the attempts of a frequency window that has ended, in the background. An expiry would free them while Redis stands still.
--
-- KEYS  1 tries (hash)

local ends, time = redis.call('HGET', KEYS[1], 'ends'), redis.call('TIME')
if ends and tonumber(ends) <= time[1] * 1000 + math.floor(time[2] / 1000) then redis.call('UNLINK', KEYS[1]) end
