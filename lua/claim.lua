-- claim: moves the most overdue tasks of a ring from due to claimed. Claims that lapsed
-- come first back to due: whoever held them died, or lost the reply of the claim, before
-- the start was committed.
--
-- KEYS[1]  due      sorted set: task id, scored by due time (unix µs)
-- KEYS[2]  claimed  sorted set: task id, scored by the time the claim lapses (unix µs)
-- ARGV[1]  limit    the most tasks to claim, 0 to 1000
-- ARGV[2]  lapse    how long the claim holds, in µs
--
-- Returns {wait, revived, id...}: when to look again, in µs from now: 0 if more is due, and
-- -1 if nothing is known; and how many claims had lapsed.
local due, claimed = KEYS[1], KEYS[2]
local limit, lapse = tonumber(ARGV[1]), tonumber(ARGV[2])
local most = 1000

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local text = string.format('%.0f', now)

local lapsed = redis.call('ZRANGE', claimed, '-inf', text, 'BYSCORE', 'LIMIT', 0, most)
if #lapsed > 0 then
  redis.call('ZREM', claimed, unpack(lapsed))
  for _, id in ipairs(lapsed) do
    redis.call('ZADD', due, 'NX', text, id)
  end
end

local found = redis.call('ZCOUNT', due, '-inf', text)
local n = math.min(found, limit)
local reply = { 0, #lapsed }
if n > 0 then
  -- By rank, and not by ZPOPMIN, which would write out a score for each. What is
  -- removed comes first: a full Redis refuses to begin with what is added.
  local ids = redis.call('ZRANGE', due, 0, n - 1)
  redis.call('ZREMRANGEBYRANK', due, 0, n - 1)
  local lapses = string.format('%.0f', now + lapse)
  local entries = {}
  for i = 1, n do
    entries[2 * i - 1], entries[2 * i] = lapses, ids[i]
    reply[i + 2] = ids[i]
  end
  redis.call('ZADD', claimed, unpack(entries))
end
if found > n then
  return reply
end

-- What is claimed may have to be looked at again when its claim lapses.
local wait = math.huge
for _, key in ipairs({ due, claimed }) do
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if #head > 0 then
    wait = math.min(wait, math.max(1, head[2] - now))
  end
end
reply[1] = wait < math.huge and wait or -1
return reply
