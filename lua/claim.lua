-- claim: moves the most overdue tasks of a ring from due to claimed, within the limits of
-- the type. Claims that lapsed come first back to due: whoever held them died, or lost the
-- reply of the claim, before the start was committed.
--
-- KEYS[1]  due      sorted set: task id, scored by due time (unix µs)
-- KEYS[2]  claimed  sorted set: task id, scored by the time the claim lapses (unix µs)
-- KEYS[3]  limits   hash: room, how many tasks more may run, and tat, the theoretical
--                   arrival time of the next start (unix µs); each only if it is limited
-- ARGV[1]  limit    the most tasks to claim, 0 to 1000
-- ARGV[2]  lapse    how long the claim holds, in µs
-- ARGV[3]  running  how many tasks of the type may run at once, or 0 for no limit
-- ARGV[4]  interval the time between two starts at the type's rate, in µs, or 0 for no limit
-- ARGV[5]  burst    how many may start at once
--
-- Returns {wait, revived, id...}: when to look again, in µs from now: 0 if more is due, and
-- -1 if nothing is known; and how many claims had lapsed.
--
-- Room is a hint, which saves claims that Postgres would refuse. The rate is the generic
-- cell rate algorithm (ITU-T I.371), by this clock. Whoever comes a little late for a
-- start does not lose it: slack is what a worker needs to sleep and wake.
local due, claimed, limits = KEYS[1], KEYS[2], KEYS[3]
local limit, lapse = tonumber(ARGV[1]), tonumber(ARGV[2])
local running, interval, burst = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local most, slack, full = 1000, 20000, 5000000

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local text = string.format('%.0f', now)

local lapsed = redis.call('ZRANGE', claimed, '-inf', text, 'BYSCORE', 'LIMIT', 0, most)
if #lapsed > 0 then
  redis.call('ZREM', claimed, unpack(lapsed))
  for _, id in ipairs(lapsed) do
    redis.call('ZADD', due, 'NX', text, id)
  end
end

local found = redis.call('ZCOUNT', due, '-inf', text)
local n = math.min(found, limit)
local held -- when to look again at what a limit holds back, in µs from now
local room, tat
if n > 0 and running > 0 then
  room = tonumber(redis.call('HGET', limits, 'room') or running) or running
  if room < n then
    n = math.max(0, room)
    held = full -- or when a place is free
  end
end
if n > 0 and interval > 0 then
  tat = tonumber(redis.call('HGET', limits, 'tat') or 0) or 0
  -- One that lies further ahead than a burst was not granted by this clock.
  if tat < now - slack or tat > now + burst * interval then
    tat = now
  end
  local allowed = math.floor(burst - (tat - now) / interval)
  if allowed < n then
    n = math.max(0, allowed)
    held = math.max(1, math.ceil(tat + (n + 1 - burst) * interval - now))
  end
end

local reply = { 0, #lapsed }
if n > 0 then
  -- By rank, and not by ZPOPMIN, which would write out a score for each. What is
  -- removed comes first: a full Redis refuses to begin with what is added.
  local ids = redis.call('ZRANGE', due, 0, n - 1)
  redis.call('ZREMRANGEBYRANK', due, 0, n - 1)
  local lapses = string.format('%.0f', now + lapse)
  local entries = {}
  for i = 1, n do
    entries[2 * i - 1], entries[2 * i] = lapses, ids[i]
    reply[i + 2] = ids[i]
  end
  redis.call('ZADD', claimed, unpack(entries))
  if room then
    redis.call('HSET', limits, 'room', string.format('%.0f', room - n))
  end
  if tat then
    redis.call('HSET', limits, 'tat', string.format('%.0f', tat + n * interval))
  end
end
if found > n and not held then
  return reply
end

-- What is claimed may have to be looked at again when its claim lapses.
local wait = held or math.huge
for _, key in ipairs({ due, claimed }) do
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if #head > 0 and not (held and key == due) then
    wait = math.min(wait, math.max(1, head[2] - now))
  end
end
reply[1] = wait < math.huge and wait or -1
return reply
