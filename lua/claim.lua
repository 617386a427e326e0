-- claim: moves the most overdue tasks from due to claimed.
--
-- KEYS[1]  due      sorted set: task id, scored by due time (unix µs)
-- KEYS[2]  claimed  sorted set: task id, scored by the time the claim lapses (unix µs)
-- ARGV[1]  limit    the most tasks to claim, 1 to 1000
-- ARGV[2]  lapse    how long the claim holds, in µs
--
-- Returns {wait, id...}. With no task due, wait is the time in µs until the
-- next one falls due, or -1 if there is none; else it is 0.
local due, claimed = KEYS[1], KEYS[2]
local limit, lapse = tonumber(ARGV[1]), tonumber(ARGV[2])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local n = redis.call('ZCOUNT', due, '-inf', string.format('%.0f', now))
if n == 0 then
  local head = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
  if #head == 0 then
    return { -1 }
  end
  return { head[2] - now }
end

-- By rank, and not by ZPOPMIN, which would write out a score for each. What is
-- removed comes first: a full Redis refuses to begin with what is added.
n = math.min(n, limit)
local ids = redis.call('ZRANGE', due, 0, n - 1)
redis.call('ZREMRANGEBYRANK', due, 0, n - 1)
local lapses = string.format('%.0f', now + lapse)
local entries, reply = {}, { 0 }
for i = 1, n do
  entries[2 * i - 1], entries[2 * i] = lapses, ids[i]
  reply[i + 1] = ids[i]
end
redis.call('ZADD', claimed, unpack(entries))
return reply
