-- wake: tells the workers that a type is to be looked at. Named are those that watch
-- for their group and leave nothing of the type that is due. The other workers of a group that is
-- named pass the message by, and those of a group that is not ask for themselves.
--
-- The message is: type wait mark, and group worker for each that is named. wait is in
-- µs from now, and mark counts how often the type was marked.
--
-- This text stands before that of each script that wakes.
local function wake(channel, watch, task_type, wait, mark, now)
  local message = string.format('%s %.0f %s', task_type, wait, mark)
  local watchers = redis.call('HGETALL', watch)
  for i = 1, #watchers, 2 do
    local worker, until_, left = string.match(watchers[i + 1], '^(%S+) %d+ (%d+) (%S*)$')
    if worker and tonumber(until_) > now and not string.find(left, '|' .. task_type .. '|', 1, true) then
      message = message .. ' ' .. watchers[i] .. ' ' .. worker
    end
  end
  redis.pcall('PUBLISH', channel, message)
end

