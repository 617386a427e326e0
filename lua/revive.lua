-- revive: claims that lapsed go back to due. Whoever held them died, or lost
-- the reply of the claim, before the start was committed.
--
-- KEYS[1]  due      sorted set: task id, scored by due time (unix µs)
-- KEYS[2]  claimed  sorted set: task id, scored by the time the claim lapses
-- KEYS[3]  wake     channel
-- ARGV[1]  limit    the most claims to revive, 1 to 1000
--
-- Returns the number of tasks that were revived.
local due, claimed, wake = KEYS[1], KEYS[2], KEYS[3]
local limit = tonumber(ARGV[1])

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])

local lapsed = redis.call('ZRANGE', claimed, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
if #lapsed == 0 then
  return 0
end
for _, id in ipairs(lapsed) do
  redis.call('ZREM', claimed, id)
  redis.call('ZADD', due, 'NX', now, id)
end
redis.pcall('PUBLISH', wake, '')
return #lapsed
