-- release: ends claims. The tasks have started, or never will, or are put back; then a
-- mark in the agenda has to follow.
--
-- KEYS[1]  due      sorted set: task id, scored by due time (unix µs)
-- KEYS[2]  claimed  sorted set: task id, scored by the time the claim lapses
-- ARGV[1]  dropped  how many ids follow that are done with, at most 1000
-- ARGV[2]...        those ids, then wait, id, wait, id, ... for those that are
--                   put back, due after a wait in µs by Redis' clock
--
-- Returns the number of tasks that were put back.
local due, claimed = KEYS[1], KEYS[2]
local dropped = tonumber(ARGV[1])

if dropped > 0 then
  redis.call('ZREM', claimed, unpack(ARGV, 2, dropped + 1))
end
if #ARGV == dropped + 1 then
  return 0
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local back = 0
for i = dropped + 2, #ARGV, 2 do
  redis.call('ZREM', claimed, ARGV[i + 1])
  back = back + redis.call('ZADD', due, 'NX', string.format('%.0f', now + ARGV[i]), ARGV[i + 1])
end
return back
