-- check: writes, as every other script does, and says whose wheel this is.
--
-- KEYS[1]  epoch     hash: installation, leader_until, checked_at and others
--
-- Returns {owner, ago}: the installation that led last, or '', and how
-- long ago its term ended in µs, negative if it lasts.
local epoch = KEYS[1]

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('HSET', epoch, 'checked_at', string.format('%.0f', now))
local owner, until_ = unpack(redis.call('HMGET', epoch, 'installation', 'leader_until'))
return { owner or '', now - (tonumber(until_) or 0) }
