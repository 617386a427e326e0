-- lead: takes or renews the leader's term, and notes how far the due index is built.
-- One node at a time leads; should two of them do, nothing breaks.
--
-- KEYS[1]  epoch     hash: leader and leader_until (its term), indexed_until (all that is
--                    due up to then is indexed), horizon, built_at, installation,
--                    audited_run, audited_at
-- ARGV[1]  node      who asks
-- ARGV[2]  term      how long the lead lasts without asking again, in µs
-- ARGV[3]  horizon   how far ahead the due index looks, in µs
-- ARGV[4]  indexed   all that is due up to this time (unix µs) is indexed; or ''
-- ARGV[5]  installation  whose index it is; or '' if that is not to be looked at
-- ARGV[6]  takeover  how long after another installation's last term this one takes
--                    the names over, in µs
--
-- Returns {leads, indexed}: whether the caller leads (0 or 1; -1 if another
-- installation has these names, 2 if this one took them over), and how far the index
-- is built. indexed is '' if it must be built from the beginning.
local epoch = KEYS[1]
local node, term, horizon, indexed, installation = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local leader, until_, built, owner =
  unpack(redis.call('HMGET', epoch, 'leader', 'leader_until', 'indexed_until', 'installation'))
local leads = 1
if installation ~= '' and owner ~= installation then
  if owner then
    -- A term that lies further ahead than any lasts was not granted by this clock.
    local gone = now - (tonumber(until_) or 0)
    if gone < tonumber(ARGV[6]) and gone > -2 * term then
      return { -1, '' }
    end
    redis.call('DEL', epoch)
    leader, until_, built, leads = false, false, false, 2
  end
  redis.call('HSET', epoch, 'installation', installation)
end
-- A term that has more left than any lasts was granted before the clock was set
-- back, or edited by hand. To wait for its end would stop the cascade.
local left = (tonumber(until_) or 0) - now
if leader and leader ~= node and left > 0 and left <= term then
  return { 0, '' }
end

-- A report counts only for the index that the term was granted for: after a loss of
-- Redis there is no leader, and nothing has been built.
if indexed ~= '' and leader == node then
  if not built then
    redis.call('HSET', epoch, 'built_at', string.format('%.0f', now))
  end
  redis.call('HSET', epoch, 'indexed_until', indexed, 'horizon', horizon)
  built = indexed
end
redis.call('HSET', epoch, 'leader', node, 'leader_until', string.format('%.0f', now + term))
return { leads, built or '' }
