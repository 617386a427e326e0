-- leave: ends the watch of a worker that claims no more, and wakes the others.
--
-- KEYS[1]  wake    channel
-- KEYS[2]  watch   string: the worker that waits for the next due time, and its load
-- ARGV[1]  worker  who leaves
--
-- Returns 1 if it was the one that watched.
local wake, watch = KEYS[1], KEYS[2]

if string.match(redis.call('GET', watch) or '', '^%S*') ~= ARGV[1] then
  return 0
end
redis.call('DEL', watch)
redis.pcall('PUBLISH', wake, '')
return 1
