-- leave: ends the watch of a worker that claims no more, and wakes the others; or that it
-- stands by.
--
-- KEYS[1]  watch    hash: group, and the worker that watches for it; see next.lua
-- ARGV[1]  channel  where the workers listen
-- ARGV[2]  worker   who leaves
-- ARGV[3]  group    the workers that serve the same types
--
-- Returns 1 if it was the one that watched.
local watch, channel, worker, group = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local standby = group .. '/standby'
if string.match(redis.call('HGET', watch, standby) or '', '^%S*') == worker then
  redis.call('HDEL', watch, standby)
end
if string.match(redis.call('HGET', watch, group) or '', '^%S*') ~= worker then
  return 0
end
redis.call('HDEL', watch, group)
redis.pcall('PUBLISH', channel, '')
return 1
