-- index: puts tasks into the ring of their type. A mark in the agenda has to follow.
--
-- KEYS[1]  due      sorted set: task id, scored by due time (unix µs)
-- KEYS[2]  claimed  sorted set: task id, scored by the time the claim lapses
-- ARGV[1]  mode     'set' gives the tasks these times; 'repair' adds only those
--                   that are neither due nor claimed yet, and brings forward
--                   those that wait for a later time, as after a move that
--                   Redis was not told of
-- ARGV[2]  base     'abs' for unix µs, 'rel' for µs from now by Redis' clock
-- ARGV[3]...        time, id, time, id, ... at most 1000 pairs
--
-- Returns the number of tasks that were not in due before, or were brought forward.
--
-- A repair may have read its time before a move: one that is too early is refused by the start,
-- and put back. What is due already is not brought forward: it is about to be claimed.
local due, claimed = KEYS[1], KEYS[2]
local repair, relative = ARGV[1] == 'repair', ARGV[2] == 'rel'

local base, now = 0, 0
if repair or relative then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
if relative then
  base = now
end

-- Times that are given as they are and simply set need no look at each.
if not (repair or relative) then
  return redis.call('ZADD', due, unpack(ARGV, 3))
end
local entries = {}
for i = 3, #ARGV, 2 do
  local at, id = base + ARGV[i], ARGV[i + 1]
  local keep = false
  if repair then
    local there = tonumber(redis.call('ZSCORE', due, id) or nil)
    keep = there and there <= math.max(at, now) or redis.call('ZSCORE', claimed, id)
  end
  if not keep then
    entries[#entries + 1] = string.format('%.0f', at)
    entries[#entries + 1] = id
  end
end
if #entries == 0 then
  return 0
end
if repair then
  return redis.call('ZADD', due, 'CH', unpack(entries))
end
return redis.call('ZADD', due, unpack(entries))
