-- next: says which types are to be looked at now, and which one comes next.
--
-- KEYS[1]  agenda   sorted set: type, scored by when its ring is to be looked at (unix µs)
-- KEYS[2]  marks    hash: type, how often it was marked
-- KEYS[3]  watch    hash: group, and the worker that watches for it: its name, how many
--                   tasks it has in hand, until when (unix µs), and the types of which it
--                   leaves some that are due, |one|two|; and group/standby, the name of the
--                   worker that stands by and until when
-- ARGV[1]  channel  where the workers listen
-- ARGV[2]  worker   who asks
-- ARGV[3]  group    the workers that serve the same types
-- ARGV[4]  load     how many tasks the worker has in hand
-- ARGV[5]  term     how long it watches without asking again, in µs
-- ARGV[6]  left     the types of which it leaves some that are due, |one|two|, or ''
-- ARGV[7]  settled  how many rings the worker looked at
-- ARGV[8]...        for each of those: type, mark, wait. mark is the one that the worker
--                   knew before it looked; wait is when to look again, in µs from now, or -1
-- then              the types that the group serves; none for all
--
-- Returns {role, type, wait, mark, ...}: 1 if the worker watches, 2 if it stands by, else 0;
-- and the types that are to be looked at now or next, with the wait in µs. Of each group
-- one worker watches: it comes when the wait is over, and is woken if something comes
-- before. One stands by and asks often, should the first not come. The others ask now and
-- then. Who has fewer tasks in hand by a margin takes the watch over, so that not one worker
-- gets everything that comes; a smaller difference is no reason, or the watch would
-- change with each task.
local agenda, marks, watch = KEYS[1], KEYS[2], KEYS[3]
local channel, worker, group, load, left = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[6]
local most, margin = 1000, 10

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local arg = 8
for _ = 1, tonumber(ARGV[7]) do
  local task_type, mark, wait = ARGV[arg], ARGV[arg + 1], tonumber(ARGV[arg + 2])
  arg = arg + 3
  local at = string.format('%.0f', now + wait)
  if (redis.call('HGET', marks, task_type) or '0') ~= mark then
    -- It was marked since, for something that the look may not have seen.
    if wait >= 0 then
      redis.pcall('ZADD', agenda, 'LT', at, task_type)
    end
  elseif wait >= 0 then
    redis.pcall('ZADD', agenda, at, task_type)
  else
    redis.call('ZREM', agenda, task_type)
  end
end

-- A full Redis refuses to note who watches, as it refuses the times above. Then all
-- watch, and look more often: that costs calls, and no time.
local watcher, others, until_, known =
  string.match(redis.call('HGET', watch, group) or '', '^(%S+) (%d+) (%d+) (%S*)$')
local free = not watcher or tonumber(until_) <= now
local watching = free or watcher == worker or load + margin <= tonumber(others)
local standby, stands = group .. '/standby', false
if watching then
  redis.pcall('HSET', watch, group, string.format('%s %d %.0f %s', worker, load, now + ARGV[5], left))
  if free or watcher ~= worker then
    known = ''
    if string.match(redis.call('HGET', watch, standby) or '', '^%S*') == worker then
      redis.call('HDEL', watch, standby)
    end
  end
  -- What the one who watches leaves is for the others.
  for task_type in string.gmatch(left, '[^|]+') do
    if not string.find(known, '|' .. task_type .. '|', 1, true) then
      local at = tonumber(redis.call('ZSCORE', agenda, task_type) or 'inf')
      if at <= now then
        wake(channel, watch, task_type, 0, redis.call('HGET', marks, task_type) or '0', now)
      end
    end
  end
else
  local other, lasts = string.match(redis.call('HGET', watch, standby) or '', '^(%S+) (%d+)$')
  stands = not other or other == worker or tonumber(lasts) <= now
  if stands then
    redis.pcall('HSET', watch, standby, string.format('%s %.0f', worker, now + 3 * ARGV[5]))
  end
end

local reply = { watching and 1 or stands and 2 or 0 }
local function add(task_type, at)
  reply[#reply + 1] = task_type
  reply[#reply + 1] = at - now
  reply[#reply + 1] = tonumber(redis.call('HGET', marks, task_type) or 0)
end
if arg <= #ARGV then
  for i = arg, #ARGV do
    local at = redis.call('ZSCORE', agenda, ARGV[i])
    if at then
      add(ARGV[i], at)
    end
  end
  return reply
end
local text = string.format('%.0f', now)
local found = redis.call('ZRANGE', agenda, '-inf', text, 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES')
for i = 1, #found, 2 do
  add(found[i], found[i + 1])
end
local ahead = redis.call('ZRANGE', agenda, '(' .. text, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
if #ahead > 0 then
  add(ahead[1], ahead[2])
end
return reply
