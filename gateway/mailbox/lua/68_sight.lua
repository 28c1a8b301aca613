-- Who may see an account: its owner, and contacts that get its presence (RFC 6121 section 3) and are not blocked. What
-- is refused looks like an account that does not exist.
-- Keys: acct:{user} (left_at ms, left_with: the last unavailable presence), res:{user}, s:{sid} (faded, slept_at),
--       roster:{user}, block:{user}

do

local MOST_WORDS = 4096   -- bytes of a last presence that are kept

local function may_see(p, user, asker)
  if redis.call('EXISTS', K.account(p, user)) == 0 then return false end
  local bare = bare_of(asker)
  if bare == user then return true end
  local subscription = Roster.subscription(p, user, bare)
  return (subscription == 'both' or subscription == 'from') and not Blocking.blocks(p, user, asker)
end

-- seen: the available resources of an account, for who may know them
-- KEYS[1] prefix   ARGV user, asker (full JID)   answers {'yes', resource, …} | {'no'}
register('seen', function(keys, args)
  local p, user = keys[1], args[1]
  if not may_see(p, user, args[2]) then return { 'no' } end
  local answer = { 'yes' }
  for _, s in ipairs(available(p, user, nil, true)) do
    local v = redis.call('HMGET', K.session(p, s.sid), 'resource', 'faded')
    if v[2] ~= 'unavailable' then answer[#answer + 1] = v[1] end
  end
  return answer
end)

-- An available session of this account went: with these words, or ('') without a word. An account that is being removed
-- or disabled must not come into being again by it.
function Presence.left(p, user, stanza)
  if redis.call('EXISTS', K.account(p, user)) == 0 then return end
  redis.call('HSET', K.account(p, user), 'left_at', now(), 'left_with', #stanza <= MOST_WORDS and stanza or '')
end

-- last_activity: since when nobody of this account is available (XEP-0012)
-- KEYS[1] prefix   ARGV user, asker (full JID)
-- answers {'no'} | {'here'} | {'left', ms since then, last presence ('' = none)} | {'never'}
register('last_activity', function(keys, args)
  local p, user = keys[1], args[1]
  if not may_see(p, user, args[2]) then return { 'no' } end
  local v = redis.call('HMGET', K.account(p, user), 'left_at', 'left_with')
  local at, with = tonumber(v[1] or -1), v[2] or ''
  for _, s in ipairs(available(p, user, nil, true)) do
    local w = redis.call('HMGET', K.session(p, s.sid), 'faded', 'slept_at')
    if w[1] ~= 'unavailable' then return { 'here' } end
    if tonumber(w[2]) > at then at, with = tonumber(w[2]), '' end   -- it fell asleep, and is seen as gone since
  end
  if at < 0 then return { 'never' } end
  return { 'left', now() - at, with }
end)

end
