-- Runs before every script of a lease's holder: refuses a fencing token that is lower than one of an earlier write.

local function fenced(key, number)
  local highest = tonumber(redis.call('GET', key) or 0)
  if tonumber(number) < highest then return true end
  redis.call('SET', key, number, 'EX', 30 * 86400)
  return false
end

local FENCED = redis.error_reply('FENCED another process has written since, under a later lease')
