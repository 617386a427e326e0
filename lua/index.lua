-- index: puts tasks into the due index, and wakes the worker that watches, or
-- all if none does, if one of them is due before all others.
--
-- KEYS[1]  due      sorted set: task id, scored by due time (unix µs)
-- KEYS[2]  claimed  sorted set: task id, scored by the time the claim lapses
-- KEYS[3]  wake     channel: who is to ask again, or nothing for all
-- KEYS[4]  watch    string: the worker that waits for the next due time, and its load
-- ARGV[1]  mode     'set' gives the tasks these times; 'repair' adds only those
--                   that are neither due nor claimed yet
-- ARGV[2]  base     'abs' for unix µs, 'rel' for µs from now by Redis' clock
-- ARGV[3]...        time, id, time, id, ... at most 1000 pairs
--
-- Returns the number of tasks that were not in due before.
local due, claimed, wake, watch = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local repair, relative = ARGV[1] == 'repair', ARGV[2] == 'rel'

local now = 0
if relative then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local function head()
  return tonumber(redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2])
end

-- Times that are given as they are and simply set need no look at each.
local entries, first = ARGV, 3
if repair or relative then
  entries, first = {}, 1
  for i = 3, #ARGV, 2 do
    local at, id = now + ARGV[i], ARGV[i + 1]
    if not (repair and redis.call('ZSCORE', claimed, id)) then
      entries[#entries + 1] = string.format('%.0f', at)
      entries[#entries + 1] = id
    end
  end
end
if #entries < first then
  return 0
end

local before = head()
local added
if repair then
  added = redis.call('ZADD', due, 'NX', unpack(entries, first))
else
  added = redis.call('ZADD', due, unpack(entries, first))
end
if not before or head() < before then
  redis.pcall('PUBLISH', wake, string.match(redis.call('GET', watch) or '', '^%S*'))
end
return added
