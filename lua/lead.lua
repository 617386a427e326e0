-- lead: takes or renews the leader's term, and notes how far the due index is built.
-- One node at a time leads; should two of them do, nothing breaks.
--
-- KEYS[1]  epoch     hash: turner and turner_until (the leader and its term), frontier
--                    (all that is due up to then is indexed), horizon, shards, built_at,
--                    installation, audited_run, audited_at
-- ARGV[1]  node      who asks
-- ARGV[2]  term      how long the lead lasts without asking again, in µs
-- ARGV[3]  shards    into how many shards the due index is split now
-- ARGV[4]  horizon   how far ahead the due index looks, in µs
-- ARGV[5]  indexed   all that is due up to this time (unix µs) is indexed; or ''
-- ARGV[6]  installation  whose index it is; or '' if that is not to be looked at
-- ARGV[7]  takeover  how long after another installation's last term this one takes
--                    the names over, in µs
--
-- Returns {leads, indexed, shards}: whether the caller leads (0 or 1; -1 if another
-- installation has these names, 2 if this one took them over), and how far the index
-- is built and into how many shards. indexed is '' if it must be built from the
-- beginning, because Redis lost it or it was split otherwise; shards is then that of
-- the old index, or ''.
local epoch = KEYS[1]
local node, term, shards, horizon, indexed = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local installation = ARGV[6]

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local leader, until_, built, split, owner =
  unpack(redis.call('HMGET', epoch, 'turner', 'turner_until', 'frontier', 'shards', 'installation'))
local leads = 1
if installation ~= '' and owner ~= installation then
  if owner then
    -- A term that lies further ahead than any lasts was not granted by this clock.
    local gone = now - (tonumber(until_) or 0)
    if gone < tonumber(ARGV[7]) and gone > -2 * term then
      return { -1, '', '' }
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
  return { 0, '', '' }
end

-- A report counts only for the index that the term was granted for: after a loss of
-- Redis there is no leader, and nothing has been built.
if indexed ~= '' and leader == node then
  if not built then
    redis.call('HSET', epoch, 'built_at', string.format('%.0f', now))
  end
  redis.call('HSET', epoch, 'frontier', indexed, 'shards', shards, 'horizon', horizon)
  built, split = indexed, shards
end
redis.call('HSET', epoch, 'turner', node, 'turner_until', string.format('%.0f', now + term))

if not built or split ~= shards then
  return { leads, '', split or '' }
end
return { leads, built, split }
