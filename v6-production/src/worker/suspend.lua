-- Closes a sale like `close.lua`, for a process without a lease that has found wrong data.
--
-- KEYS  1 sale (hash)
-- ARGV  1 the epoch of the wrong data; a sale in a later epoch stays open

if redis.call('HGET', KEYS[1], 'epoch') == ARGV[1] then redis.call('HDEL', KEYS[1], 'replid') end
