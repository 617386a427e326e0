-- index: puts tasks into the ring of their type. A mark in the agenda has to follow.
--
-- KEYS[1]  due      sorted set: task id, scored by due time (unix µs)
-- KEYS[2]  claimed  sorted set: task id, scored by the time the claim lapses
-- ARGV[1]  mode     'set' gives the tasks these times; 'repair' adds only those
--                   that are neither due nor claimed yet
-- ARGV[2]  base     'abs' for unix µs, 'rel' for µs from now by Redis' clock
-- ARGV[3]...        time, id, time, id, ... at most 1000 pairs
--
-- Returns the number of tasks that were not in due before.
local due, claimed = KEYS[1], KEYS[2]
local repair, relative = ARGV[1] == 'repair', ARGV[2] == 'rel'

local now = 0
if relative then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

-- Times that are given as they are and simply set need no look at each.
if not (repair or relative) then
  return redis.call('ZADD', due, unpack(ARGV, 3))
end
local entries = {}
for i = 3, #ARGV, 2 do
  local at, id = now + ARGV[i], ARGV[i + 1]
  if not (repair and redis.call('ZSCORE', claimed, id)) then
    entries[#entries + 1] = string.format('%.0f', at)
    entries[#entries + 1] = id
  end
end
if #entries == 0 then
  return 0
end
if repair then
  return redis.call('ZADD', due, 'NX', unpack(entries))
end
return redis.call('ZADD', due, unpack(entries))
