-- Presence (RFC 6121 section 4): what a session says of itself, who is told, and what becomes of it when nobody is there
-- Keys: acct:{user}, res:{user}, roster:{user}, reqs:{user} hash, s:{sid} (presence, said, told, faded, fade_after,
--       fade_to, slept_at), dir:{sid} set, fading zset, out stream, and those of the queue
--
-- Presence is kept without `to`, which is written into it for each recipient. `faded`: what others see of a session
-- that has slept for long ('unavailable', or a stanza), '' when they see what it said. Entries of the outbox, from
-- which a sweeper tells contacts, say only that something about a session has changed: what is true is looked up then.

do

local DIRECTED = 1000   -- JIDs that got directed presence and are told of the end (section 4.6)
local UNAVAILABLE = "<presence from='%s' type='unavailable'/>"
local UNAVAILABLE_TO = "<presence from='%s' to='%s' type='unavailable'/>"

local function addressed(body, to)
  local at = string.match(body, '^<[^%s/>]+()')
  if not at then return body end
  return string.sub(body, 1, at - 1) .. " to='" .. to .. "'" .. string.sub(body, at)
end

-- What others may see of an available session, without `to`; false when it has faded from sight.
local function seen(presence, faded)
  if faded == 'unavailable' then return false end
  return faded and faded ~= '' and faded or presence
end

-- An account's available sessions but one (`except`), and what others may see of each: `seen`.
local function present(p, user, except)
  local found, all = {}, redis.call('HGETALL', K.resources(p, user))
  for i = 1, #all, 2 do
    if all[i + 1] ~= except then
      local s, presence, faded = load(p, all[i + 1], 'presence', 'faded')
      if s and s.state ~= ENDING and s.priority ~= '' then
        s.resource, s.seen = all[i], seen(presence, faded)
        found[#found + 1] = s
      end
    end
  end
  return found
end
Presence.present = present

local function gone(p, sid, to)   -- gsub would take % in a JID for a pattern; format does not
  return string.format(UNAVAILABLE_TO, redis.call('HGET', K.session(p, sid), 'jid'), to)
end

-- Presence of all of an account's available sessions for `to`: full JID, stanza, …; with `leaving`, that they are gone.
-- `sessions`: those, if the caller has them.
-- `found`: a list that it goes into.
function Presence.of(p, user, to, leaving, sessions, found)
  found, sessions = found or {}, sessions or present(p, user)
  for i = 1, #sessions do
    local s = sessions[i]
    if s.seen then
      local n = #found
      found[n + 1], found[n + 2] = user .. '/' .. s.resource, leaving and gone(p, s.sid, to) or addressed(s.seen, to)
    end
  end
  if leaving then Presence.untold(p, user, to, found) end
  return found
end

-- To each of an account's available sessions but one; told in `placed`.
function Presence.put(p, user, except, stamp, from, body, limits, placed, sessions)
  sessions = sessions or available(p, user, except, true)
  for i = 1, #sessions do
    local other = sessions[i]
    if other.sid ~= except then
      local n, position = #placed, put_presence(p, other, stamp, from, body, limits)
      placed[n + 1], placed[n + 2], placed[n + 3] = other.sid, other.node, position
    end
  end
end

-- Contacts with whom presence is shared and that the user does not block: JID, subscription, …
local function contacts_of(p, user)
  local found, all = {}, redis.call('HGETALL', K.roster(p, user))
  local blocks = #all > 0 and redis.call('EXISTS', K.blocked(p, user)) == 1
  for i = 1, #all, 2 do
    local subscription = Roster.subscription_in(all[i + 1])
    if subscription ~= 'none' and not (blocks and Blocking.blocks(p, user, all[i])) then
      found[#found + 1], found[#found + 2] = all[i], subscription
    end
  end
  return found
end

local function lines(list) return table.concat(list, '\n') end

-- Somebody has to tell contacts what this session is now: the gateway at once, or else the sweeper.
local function tell_later(p, s, directed, own)
  if #directed == 0 and not own and redis.call('HLEN', K.roster(p, s.user)) == 0 then return end
  local v = redis.call('HMGET', K.session(p, s.sid), 'resource', 'jid')
  redis.call('XADD', K.outbox(p), '*', 'do', 'presence', 'user', s.user, 'sid', s.sid, 'resource', v[1], 'jid', v[2],
    'directed', lines(directed), 'own', own and '1' or '')
end
Presence.tell_later = tell_later

local function take_directed(p, sid)
  local found = redis.call('SMEMBERS', K.directed(p, sid))
  if #found > 0 then redis.call('DEL', K.directed(p, sid)) end
  return found
end

-- The session's end, towards everybody who knows that it is available. Called while its hash is still there.
function Presence.unavailable(p, s, limits, placed)
  local directed = take_directed(p, s.sid)
  redis.call('ZREM', K.fading(p), s.sid)
  if s.priority == '' and #directed == 0 then return end
  if s.priority ~= '' then
    local v = redis.call('HMGET', K.session(p, s.sid), 'resource', 'ujid')
    Presence.put(p, s.user, s.sid, now(), s.user .. '/' .. v[1], gone(p, s.sid, v[2]), limits, placed)
    if Presence.left then Presence.left(p, s.user, '') end
  end
  tell_later(p, s, directed)
end

-- The account is being removed: its contacts are told of a session that nothing will be known of later.
function Presence.bereave(p, s)
  local list, directed = {}, take_directed(p, s.sid)
  redis.call('ZREM', K.fading(p), s.sid)
  if s.priority ~= '' then
    local contacts = contacts_of(p, s.user)
    for i = 1, #contacts, 2 do
      if contacts[i + 1] ~= 'to' then list[#list + 1] = contacts[i] end
    end
  end
  for _, jid in ipairs(directed) do list[#list + 1] = jid end
  tell_later(p, s, list)
end

-- The session is asleep: it stays available for as long as it said with its presence.
function Presence.sleep(p, s)
  if s.priority == '' then return end
  local key = K.session(p, s.sid)
  local after = tonumber(redis.call('HGET', key, 'fade_after') or '')
  if not after then return end
  redis.call('HSET', key, 'slept_at', now())
  redis.call('ZADD', K.fading(p), now() + after, s.sid)
end

-- The session is back: what it said of itself is true again.
function Presence.woken(p, s)
  local key = K.session(p, s.sid)
  redis.call('ZREM', K.fading(p), s.sid)
  if (redis.call('HGET', key, 'faded') or '') ~= '' then
    redis.call('HSET', key, 'faded', '')
    if s.priority ~= '' then tell_later(p, s, {}, true) end
  end
end

-- What other resources said before this one came, requests that wait for an answer, and the account's own events.
-- `ujid`: the account, escaped.
local function introduce(p, s, others, full, ujid, nodes, stamp, limits)
  for _, other in ipairs(others) do
    if other.seen then
      put_presence(p, s, stamp, s.user .. '/' .. other.resource, addressed(other.seen, ujid), limits)
    end
  end
  local requests = redis.call('HGETALL', K.requests(p, s.user))
  for i = 1, #requests, 2 do put_presence(p, s, stamp, requests[i], requests[i + 1], limits) end
  if nodes and nodes ~= '' and Pubsub.last_items then
    for _, item in ipairs(Pubsub.last_items(p, s.user, s.user, full, ujid, nodes)) do
      put_aside(p, s, 'e', stamp, item[1], item[2], limits)
    end
  end
end

-- presence: kept, told to the account's resources, the one that sent it included (sections 4.2.2, 4.4.2); the first
-- non-negative one lets the offline store flow in
-- KEYS[1] prefix
-- ARGV sid, epoch, priority ('' = unavailable), queue limit, quota, stanza without `to`, serial, ms that the session
--      stays available asleep, what it is after that ('away' or 'unavailable'), stanza as its client wrote it if a feature
--      has changed it
-- answers {'ok', former priority, tail, {sid, node, position, …}, {contact, subscription, …}, {JID that got directed
--         presence and has to be told, …}, PEP nodes it wants} | {'stale'}
register('presence', function(keys, args)
  local p, limits, stamp = keys[1], limits_of(args, 4), now()
  local s = own(p, args[1], args[2])
  if not s then return { 'stale' } end
  local key, former, was_available, placed = K.session(p, s.sid), s.priority, is_available(s), {}
  local v = redis.call('HMGET', key, 'serial', 'former_priority', 'told', 'resource', 'ujid', 'notify', 'user')
  s.user = v[7]
  local directed, is_new = {}, tonumber(args[7]) > tonumber(v[1])
  if is_new then
    if args[3] == '' then directed = take_directed(p, s.sid) end
    redis.call('HSET', key, 'priority', args[3], 'presence', args[6], 'serial', args[7], 'former_priority', former,
      'told', lines(directed), 'faded', '', 'fade_after', args[8] or '', 'fade_to', args[9] or '',
      'said', args[10] or '')
    s.priority = args[3]
    if s.priority ~= '' or former ~= '' then
      local full, body, others = s.user .. '/' .. v[4], addressed(args[6], v[5]), present(p, s.user, s.sid)
      Presence.put(p, s.user, s.sid, stamp, full, body, limits, placed, others)
      if s.priority ~= '' then
        local n, position = #placed, put_presence(p, s, stamp, full, body, limits)
        placed[n + 1], placed[n + 2], placed[n + 3] = s.sid, s.node, position
        if former == '' then introduce(p, s, others, full, v[5], v[6], stamp, limits) end
      elseif Presence.left then
        Presence.left(p, s.user, args[6])
      end
    end
    if is_available(s) and not was_available then drain(p, s, limits, placed) end
  else   -- sent again after a lost connection: contacts may not have been told yet
    former = v[2]
    for jid in string.gmatch(v[3] or '', '[^\n]+') do directed[#directed + 1] = jid end
  end
  local contacts = (s.priority ~= '' or former ~= '') and contacts_of(p, s.user) or {}
  return { 'ok', former, visible(s), placed, contacts, directed, v[6] or '' }
end)

-- direct: directed presence goes to somebody who would not hear of the session's end otherwise (section 4.6.3)
-- KEYS[1] prefix   ARGV sid, epoch, JID, '1' available or '0'   answers 'ok' | 'full' | 'stale'
register('direct', function(keys, args)
  local p = keys[1]
  local s = own(p, args[1], args[2])
  if not s then return 'stale' end
  local key = K.directed(p, s.sid)
  if args[4] == '0' then
    redis.call('SREM', key, args[3])
    return 'ok'
  end
  local subscription = s.priority ~= '' and Roster.subscription(p, s.user, bare_of(args[3]))
  if subscription == 'from' or subscription == 'both' then return 'ok' end
  if redis.call('SCARD', key) >= DIRECTED and redis.call('SISMEMBER', key, args[3]) == 0 then return 'full' end
  redis.call('SADD', key, args[3])
  return 'ok'
end)

-- shown: presence of an account's sessions   KEYS[1] prefix   ARGV user, to whom, '1' = that they are gone
-- answers {full JID, stanza, …}
register('shown', function(keys, args) return Presence.of(keys[1], args[1], args[2], args[3] == '1') end)

-- audience: who is to be told what about a session that has changed (an entry of the outbox)
-- KEYS[1] prefix   ARGV user, sid, resource, full JID escaped
-- answers {'here' | 'gone' | 'again' (its resource is available with another session), stanza without `to`, {contact,
--         subscription, …}}
register('audience', function(keys, args)
  local p, user, sid = keys[1], args[1], args[2]
  local left = string.format(UNAVAILABLE, args[4])
  local s, presence, faded = load(p, sid, 'presence', 'faded')
  if s and s.state ~= ENDING then
    if s.priority == '' then return { 'gone', left, {} } end   -- it has said so itself
    return { 'here', seen(presence, faded) or left, contacts_of(p, user) }
  end
  local other = redis.call('HGET', K.resources(p, user), args[3])
  local o = other and load(p, other)
  if o and o.state ~= ENDING and o.priority ~= '' then return { 'again', left, {} } end
  return { 'gone', left, contacts_of(p, user) }
end)

-- farewells: outbox entries about an account's sessions   KEYS[1] prefix   ARGV user, most looked at
-- answers XRANGE's entries
register('farewells', function(keys, args)
  local found = {}
  for _, entry in ipairs(redis.call('XREVRANGE', K.outbox(keys[1]), '+', '-', 'COUNT', args[2])) do
    local fields = entry[2]
    if fields[2] == 'presence' and fields[4] == args[1] then table.insert(found, 1, entry) end
  end
  return found
end)

-- fade: a session has slept for so long that it is no more seen as available; how that looks is the caller's
-- KEYS[1] prefix   ARGV sid   answers {'yes', epoch, presence, 'away' | 'unavailable', asleep since ms} | {'no'}
register('fade', function(keys, args)
  local p = keys[1]
  local s = load(p, args[1])
  local v = redis.call('HMGET', K.session(p, args[1]), 'presence', 'fade_to', 'slept_at')
  if not s or s.state ~= ASLEEP or s.priority == '' then
    redis.call('ZREM', K.fading(p), args[1])
    return { 'no' }
  end
  return { 'yes', s.epoch, v[1], v[2], tonumber(v[3]) }
end)

-- faded: others see the session so from now on, until it is back
-- KEYS[1] prefix   ARGV sid, epoch, stanza without `to`, or 'unavailable'   answers 'ok' | 'kept'
register('faded', function(keys, args)
  local p = keys[1]
  local s = own(p, args[1], args[2])
  if redis.call('ZREM', K.fading(p), args[1]) == 0 or not s or s.state ~= ASLEEP then return 'kept' end
  redis.call('HSET', K.session(p, s.sid), 'faded', args[3])
  tell_later(p, s, {}, true)
  return 'ok'
end)

end
