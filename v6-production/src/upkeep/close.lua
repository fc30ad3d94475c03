-- Closes a sale: it no longer says which data it was made ready with, so nothing is sold before it is rebuilt. Its epoch stays: a
-- rebuild gives it a later one.
--
-- KEYS  1 sale (hash)
-- ARGV  1 the epoch that is to be closed; a later one stays open

if redis.call('HGET', KEYS[1], 'epoch') == ARGV[1] then redis.call('HDEL', KEYS[1], 'replid') end
