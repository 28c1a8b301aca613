-- Block lists (XEP-0191). Whether somebody is blocked is asked where a stanza is taken, in the same atomic step.
-- Keys: block:{user} set of prepared JIDs, s:{sid} (blocklist: asked for the list; block_request), q:{sid},
--       roster:{user}, dir:{sid}, out stream

do

local MOST_BYTES = 262144   -- of all addresses of a list together, so that the list fits into one answer

-- Does `user` block `jid`? A list holds full and bare addresses, domains, and resources of domains (XEP-0191 section 5).
-- An account's own devices and its own server are never blocked, whatever the list says.
function Blocking.blocks(p, user, jid)
  local key = K.blocked(p, user)
  if redis.call('EXISTS', key) == 0 then return false end   -- as nearly always: asked for each stanza, so ask this first
  local bare = string.match(jid, '^[^/]*')
  if bare == user then return false end
  local domain = string.match(bare, '@(.*)$') or bare
  if bare == domain and domain == string.match(user, '@(.*)$') then return false end
  for _, found in ipairs(redis.call('SMISMEMBER', key, jid, bare, domain)) do
    if found == 1 then return true end
  end
  return false
end

-- Has this session's request been done? The list may have been changed by another device since.
local function is_done(p, s, request) return redis.call('HGET', K.session(p, s.sid), 'block_request') == request end

-- Tell every session that asked for the list; a request that comes again after a lost connection tells nothing anew,
-- but the owners still learn where the first one is.
local function push_list(p, user, s, request, payload, limits, answer)
  local is_repeated = is_done(p, s, request)
  redis.call('HSET', K.session(p, s.sid), 'block_request', request)
  for _, each in ipairs(sessions_of(p, user)) do
    local v = redis.call('HMGET', K.session(p, each.sid), 'blocklist', 'jid')
    if v[1] == '1' then
      local position = visible(each)
      if not is_repeated then
        local push = "<iq type='set' id='block-" .. request .. "' to='" .. v[2] .. "'>" .. payload .. '</iq>'
        position = put(p, each, 'r', '', now(), '', push, limits, true)
      end
      local n = #answer
      answer[n + 1], answer[n + 2], answer[n + 3] = each.sid, each.node, position or 0
    end
  end
  return answer
end

local SEES = { from = true, both = true }

-- Those of the addresses, or of the roster's contacts they mean, with whom presence is shared and who are not blocked
-- now: asked before a change or after it, those whom it concerns.
local function concerned_by(p, user, jids)
  local found, seen = {}, {}
  local function look(contact)
    if seen[contact] or Roster.subscription(p, user, bare_of(contact)) == 'none' then return end
    seen[contact] = true
    if not Blocking.blocks(p, user, contact) then found[#found + 1] = contact end
  end
  local contacts
  for _, jid in ipairs(jids) do
    if string.find(bare_of(jid), '@', 1, true) then look(jid)
    elseif bare_of(jid) == jid then
      contacts = contacts or redis.call('HKEYS', K.roster(p, user))
      for _, contact in ipairs(contacts) do
        if (string.match(contact, '@(.*)$') or contact) == jid then look(contact) end
      end
    end
  end
  return found
end

-- Somebody has to tell them what they may see of the user now: the gateway at once, or else the sweeper.
local function tell_later(p, user, contacts, sid, answer)
  for _, contact in ipairs(contacts) do
    local n = #answer
    answer[n + 1], answer[n + 2], answer[n + 3] = redis.call('XADD', K.outbox(p), '*', 'do', 'visibility', 'user', user,
      'contact', contact, 'sid', sid), contact, sid
  end
end

-- Who got directed presence (RFC 6121 section 4.6) and is blocked now is told that the session is gone.
local function end_directed(p, user, answer)
  for _, s in ipairs(sessions_of(p, user)) do
    local ended, key = {}, K.directed(p, s.sid)
    for _, jid in ipairs(redis.call('SMEMBERS', key)) do
      if Blocking.blocks(p, user, jid) then
        ended[#ended + 1] = jid
        redis.call('SREM', key, jid)
      end
    end
    tell_later(p, user, ended, s.sid, answer)
  end
end

local function bytes_of(members)
  local bytes = 0
  for _, member in ipairs(members) do bytes = bytes + #member end
  return bytes
end

-- does_block: does an account block this address? For requests that this server answers on the other's behalf.
-- KEYS[1] prefix   ARGV the account, the address   answers 1 | 0
register('does_block', function(keys, args)
  return Blocking.blocks(keys[1], args[1], args[2]) and 1 or 0
end)

-- blocklist: the list, and from now on this session is told of its changes
-- KEYS[1] prefix   ARGV user, sid, epoch   answers {'ok', JID, …} | {'stale'}
register('blocklist', function(keys, args)
  local p, user = keys[1], args[1]
  if not own(p, args[2], args[3]) then return { 'stale' } end
  redis.call('HSET', K.session(p, args[2]), 'blocklist', '1')
  return { 'ok', unpack(redis.call('SMEMBERS', K.blocked(p, user))) }
end)

-- block: add to the list
-- KEYS[1] prefix   ARGV user, sid, epoch, this request's name, push payload, most JIDs, queue limit, quota, JID, …
-- answers {'ok', {outbox entry, JID that has to be told, sid or '', …}, sid, node, position, …} | {'full'} | {'stale'}
register('block', function(keys, args)
  local p, user, key = keys[1], args[1], K.blocked(keys[1], args[1])
  local s = own(p, args[2], args[3])
  if not s then return { 'stale' } end
  if is_done(p, s, args[4]) then return push_list(p, user, s, args[4], args[5], limits_of(args, 7), { 'ok', {} }) end
  local jids, added, told = { unpack(args, 9) }, {}, {}
  local contacts = concerned_by(p, user, jids)
  for _, jid in ipairs(jids) do
    if redis.call('SADD', key, jid) == 1 then added[#added + 1] = jid end
  end
  if redis.call('SCARD', key) > tonumber(args[6]) or bytes_of(redis.call('SMEMBERS', key)) > MOST_BYTES then
    if #added > 0 then redis.call('SREM', key, unpack(added)) end
    return { 'full' }
  end
  tell_later(p, user, contacts, '', told)
  end_directed(p, user, told)
  return push_list(p, user, s, args[4], args[5], limits_of(args, 7), { 'ok', told })
end)

-- unblock: take off the list; without a JID, everybody
-- KEYS[1] prefix   ARGV user, sid, epoch, this request's name, push payload, queue limit, quota, JID, …
-- answers as block
register('unblock', function(keys, args)
  local p, user, key = keys[1], args[1], K.blocked(keys[1], args[1])
  local s = own(p, args[2], args[3])
  if not s then return { 'stale' } end
  if is_done(p, s, args[4]) then return push_list(p, user, s, args[4], args[5], limits_of(args, 6), { 'ok', {} }) end
  local jids, told = { unpack(args, 8) }, {}
  if #jids == 0 then jids = redis.call('SMEMBERS', key) end
  local removed = {}
  for _, jid in ipairs(jids) do
    if redis.call('SREM', key, jid) == 1 then removed[#removed + 1] = jid end
  end
  tell_later(p, user, concerned_by(p, user, removed), '', told)
  return push_list(p, user, s, args[4], args[5], limits_of(args, 6), { 'ok', told })
end)

-- visibility: what somebody may see of an account now, that was or is blocked
-- KEYS[1] prefix   ARGV user, JID, the same escaped, session that sent it directed presence, or ''
-- answers {blocked (1 or 0), subscription, {full JID, stanza, …}}
register('visibility', function(keys, args)
  local p, user, sid = keys[1], args[1], args[4]
  local is_blocked = Blocking.blocks(p, user, args[2])
  local subscription, shown = Roster.subscription(p, user, bare_of(args[2])), {}
  if sid == '' then
    if SEES[subscription] then shown = Presence.of(p, user, args[3], is_blocked) end
  elseif is_blocked then
    local v = redis.call('HMGET', K.session(p, sid), 'jid', 'resource')
    if v[1] then
      shown = { user .. '/' .. v[2], string.format("<presence from='%s' to='%s' type='unavailable'/>", v[1], args[3]) }
    end
  end
  return { is_blocked and 1 or 0, subscription, shown }
end)

end
