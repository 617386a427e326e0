-- turn: asks for the right to turn the wheel, or reports how far it was turned.
-- One node at a time does the work; should two of them, nothing breaks.
--
-- KEYS[1]  epoch     hash: turner, turner_until, frontier, horizon, shards, built_at,
--                    installation, audited_run, audited_at
-- ARGV[1]  turner    who asks
-- ARGV[2]  term      how long the right lasts without asking again, in µs
-- ARGV[3]  shards    into how many shards the wheel is split now
-- ARGV[4]  horizon   how far ahead the inner ring looks, in µs
-- ARGV[5]  frontier  all that is due up to this time (unix µs) is indexed; or ''
-- ARGV[6]  installation  whose wheel it is; or '' if that is not to be looked at
-- ARGV[7]  takeover  how long after another installation's last term this one takes
--                    the names over, in µs
--
-- Returns {granted, frontier, shards}: whether the caller has the right (0 or 1; -1
-- if another installation has these names, 2 if this one took them over), and how
-- far the wheel was built and into how many shards. frontier is '' if the wheel
-- must be built anew, because Redis lost it or it was split otherwise; shards is
-- then that of the old wheel, or ''.
local epoch = KEYS[1]
local turner, term, shards, horizon, frontier = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local installation = ARGV[6]

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local holder, until_, built, split, owner =
  unpack(redis.call('HMGET', epoch, 'turner', 'turner_until', 'frontier', 'shards', 'installation'))
local granted = 1
if installation ~= '' and owner ~= installation then
  if owner then
    -- A term that lies further ahead than any lasts was not granted by this clock.
    local gone = now - (tonumber(until_) or 0)
    if gone < tonumber(ARGV[7]) and gone > -2 * term then
      return { -1, '', '' }
    end
    redis.call('DEL', epoch)
    holder, until_, built, granted = false, false, false, 2
  end
  redis.call('HSET', epoch, 'installation', installation)
end
-- A term that has more left than any lasts was granted before the clock was set
-- back, or edited by hand. To wait for its end would stop the wheel.
local left = (tonumber(until_) or 0) - now
if holder and holder ~= turner and left > 0 and left <= term then
  return { 0, '', '' }
end

-- A report counts only for the wheel that the right was granted for: after a
-- loss of Redis there is no holder, and nothing has been built.
if frontier ~= '' and holder == turner then
  if not built then
    redis.call('HSET', epoch, 'built_at', string.format('%.0f', now))
  end
  redis.call('HSET', epoch, 'frontier', frontier, 'shards', shards, 'horizon', horizon)
  built, split = frontier, shards
end
redis.call('HSET', epoch, 'turner', turner, 'turner_until', string.format('%.0f', now + term))

if not built or split ~= shards then
  return { granted, '', split or '' }
end
return { granted, built, split }
