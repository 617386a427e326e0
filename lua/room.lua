-- room: notes how many tasks more of a type may run. If some wait and there is room, a mark
-- in the agenda has to follow.
--
-- KEYS[1]  due      sorted set: task id, scored by due time (unix µs)
-- KEYS[2]  limits   hash: room and tat; see claim.lua
-- ARGV[1]  mode     'add' for places that became free, 'least' for how many there are at least
-- ARGV[2]  n
--
-- Room is never lowered here, but by each claim: what is too high is used up by claims that
-- Postgres refuses, and what is lowered beside an end would be lost.
--
-- Returns 1 if something of the type is due and it became possible to start it, else 0.
local due, limits, mode, n = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])

local before = tonumber(redis.call('HGET', limits, 'room') or '')
if not before then
  if mode == 'add' then
    return 0 -- nobody has counted here since Redis lost it: the next claim begins anew
  end
  before = 0
end
local room = n
if mode == 'add' then
  room = math.max(0, before) + n
end
if room <= before then
  return 0
end
redis.call('HSET', limits, 'room', string.format('%.0f', room))
if mode == 'least' and before > 0 then
  return 0
end
local time = redis.call('TIME')
local head = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
return #head > 0 and tonumber(head[2]) <= time[1] * 1000000 + time[2] and 1 or 0
