-- mark: notes in the agenda that something of a type is due at a time, and wakes a
-- worker if the type was not to be looked at by then.
--
-- KEYS[1]  agenda   sorted set: type, scored by when its ring is to be looked at (unix µs)
-- KEYS[2]  marks    hash: type, how often it was marked
-- KEYS[3]  watch    hash: group, and the worker that watches for it; see next.lua
-- ARGV[1]  channel  where the workers listen
-- ARGV[2]  base     'abs' for unix µs, 'rel' for µs from now by Redis' clock, 'repair' for
--                   unix µs of what may have been forgotten: a type that is looked at within
--                   5 s is not
-- ARGV[3]...        type, time, type, time, ...
--
-- It comes after the change of the ring. Whoever looks at the ring and settles what it
-- saw afterwards finds that the type was marked meanwhile, and keeps the earlier time.
local agenda, marks, watch, channel = KEYS[1], KEYS[2], KEYS[3], ARGV[1]

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local base = 0
if ARGV[2] == 'rel' then
  base = now
end

for i = 3, #ARGV, 2 do
  local task_type, at = ARGV[i], base + ARGV[i + 1]
  -- A full Redis refuses both notes. The workers are told all the same.
  local mark = redis.pcall('HINCRBY', marks, task_type, 1)
  if type(mark) ~= 'number' then
    mark = 0
  end
  local before = tonumber(redis.call('ZSCORE', agenda, task_type) or 'inf')
  if at < before and not (ARGV[2] == 'repair' and before <= now + 5000000) then
    redis.pcall('ZADD', agenda, string.format('%.0f', at), task_type)
    wake(channel, watch, task_type, at - now, mark, now)
  end
end
return redis.status_reply('OK')
