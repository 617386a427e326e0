-- claim: moves the most overdue tasks from due to claimed.
--
-- KEYS[1]  due      sorted set: task id, scored by due time (unix µs)
-- KEYS[2]  claimed  sorted set: task id, scored by the time the claim lapses (unix µs)
-- KEYS[3]  wake     channel
-- KEYS[4]  watch    string: the worker that waits for the next due time, and its load
-- ARGV[1]  limit    the most tasks to claim, 1 to 1000
-- ARGV[2]  lapse    how long the claim holds, in µs
-- ARGV[3]  worker   who asks
-- ARGV[4]  term     how long the watch lasts without asking again, in ms
-- ARGV[5]  load     how many tasks that worker has in hand
--
-- Returns {wait, watching, id...}. With no task due, wait is the time in µs until
-- the next one falls due, or -1 if none is known; else it is 0. One worker watches:
-- it comes when that time is over, and is woken if another task comes before. The
-- others look now and then, should it not come, and one with less load takes the
-- watch over, so that not one worker gets everything that comes.
local due, claimed, wake, watch = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local limit, lapse, worker, load = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[5])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local n = redis.call('ZCOUNT', due, '-inf', string.format('%.0f', now))
local watcher, others = string.match(redis.call('GET', watch) or '', '^(%S+) (%d+)$')
if n == 0 then
  local watching = not watcher or watcher == worker or load < tonumber(others)
  if watching then
    -- A full Redis refuses this. Then all watch: that costs calls, and no time.
    redis.pcall('SET', watch, worker .. ' ' .. load, 'PX', ARGV[4])
  end
  local head = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
  if #head == 0 then
    return { -1, watching and 1 or 0 }
  end
  return { head[2] - now, watching and 1 or 0 }
end

-- By rank, and not by ZPOPMIN, which would write out a score for each. What is
-- removed comes first: a full Redis refuses to begin with what is added.
local left = n - math.min(n, limit)
n = n - left
local ids = redis.call('ZRANGE', due, 0, n - 1)
redis.call('ZREMRANGEBYRANK', due, 0, n - 1)
local lapses = string.format('%.0f', now + lapse)
local entries, reply = {}, { 0, 0 }
for i = 1, n do
  entries[2 * i - 1], entries[2 * i] = lapses, ids[i]
  reply[i + 2] = ids[i]
end
redis.call('ZADD', claimed, unpack(entries))

-- A watcher that took as much as it could may not come back soon; and what it left
-- is due now.
if left > 0 or (n == limit and watcher == worker) then
  redis.call('DEL', watch)
  redis.pcall('PUBLISH', wake, '')
end
return reply
