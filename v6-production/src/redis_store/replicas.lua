-- Writes to a sale without a change, so that `WAIT`, which comes next on this connection, waits until replicas have everything
-- before this write. `WAIT` cannot be part of a script, and it only waits for the writes of its own connection.
--
-- KEYS  1 sale (hash)
-- ARGV  1 the epoch in which a unit was reserved
-- Returns 1; or 0 if these may be other data than those of the reservation, as after a failover

local sale = redis.call('HMGET', KEYS[1], 'epoch', 'replid')
local info = redis.call('INFO', 'replication')
local data = string.find(info, 'role:master', 1, true) and string.match(info, 'master_replid:(%x+)')
if sale[1] ~= ARGV[1] or not data or data ~= sale[2] then return 0 end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
return 1
