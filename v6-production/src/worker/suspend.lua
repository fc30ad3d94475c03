-- Closes a sale as `close.lua` does, for those who have no lease and found something wrong.
--
-- KEYS  1 sale (hash)
-- ARGV  1 the epoch in which it was found; a later one stays open

if redis.call('HGET', KEYS[1], 'epoch') == ARGV[1] then redis.call('HDEL', KEYS[1], 'replid') end
