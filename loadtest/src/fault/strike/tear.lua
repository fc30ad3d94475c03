-- Reads entries of an outbox as a relay does, and acknowledges them without deleting them.
--
-- KEYS  1 outbox (stream)
-- ARGV  1 the relays' group  2 the name of a relay that does not exist
-- Returns the entries' ids

local read = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', 8, 'STREAMS', KEYS[1], '>')
local ids = {}
if read then
  for _, entry in ipairs(read[1][2]) do
    redis.call('XACK', KEYS[1], ARGV[1], entry[1])
    ids[#ids + 1] = entry[1]
  end
end
return ids
