-- The heartbeat of a relay at one outbox. It also takes over the entries of relays without a heartbeat, and removes those relays. A
-- slow relay keeps its entries, because it sends heartbeats while it waits.
--
-- KEYS  1 outbox (stream)
-- ARGV  1 the relays' consumer group  2 this relay's name  3 milliseconds without a heartbeat after which a relay counts as gone
--       4 the most entries to take over
-- Returns the entries taken over, in the format of XRANGE

local outbox, group, me = KEYS[1], ARGV[1], ARGV[2]
local gone_after, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local taken = {}

-- XINFO returns names and values in turn.
local function fields(list)
  local map = {}
  for n = 1, #list, 2 do map[list[n]] = list[n + 1] end
  return map
end

-- FORCE also takes an entry that has no consumer.
local function take(id)
  local entry = redis.call('XCLAIM', outbox, group, me, 0, id, 'FORCE')[1]
  if entry then taken[#taken + 1] = entry end
end

-- The heartbeat: only a command that reads pending entries updates the consumer's idle time even if it finds nothing.
redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', 1, 'STREAMS', outbox, '0')

for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', outbox, group)) do
  local relay = fields(consumer)
  if relay.name ~= me and relay.idle >= gone_after then
    if relay.pending == 0 then
      redis.call('XGROUP', 'DELCONSUMER', outbox, group, relay.name)
    elseif #taken < most then
      for _, pending in ipairs(redis.call('XPENDING', outbox, group, '-', '+', most - #taken, relay.name)) do
        take(pending[1])
      end
    end
  end
end

-- Delivered, not pending, and still in the stream: it was acknowledged and not deleted. No relay would read it again.
local delivered
for _, info in ipairs(redis.call('XINFO', 'GROUPS', outbox)) do
  local known = fields(info)
  if known.name == group then delivered = known['last-delivered-id'] end
end
if #taken < most then
  for _, entry in ipairs(redis.call('XRANGE', outbox, '-', delivered, 'COUNT', most - #taken)) do
    if #redis.call('XPENDING', outbox, group, entry[1], entry[1], 1) == 0 then take(entry[1]) end
  end
end
return taken
