-- Rosters (RFC 6121 section 2) and subscriptions (section 3, appendix A)
-- Keys: roster:{user} hash: contact -> JSON {s subscription, ask (bool: pending out), approved (bool: pre-approved),
--       v version, g list of groups, n and x: name and groups as they stand in <item/>}; reqs:{user} hash: contact ->
--       request that waits for an answer (pending in); rgone:{user} zset: removed contacts by version; acct:{user} (roster_version,
--       roster_floor: removals up to it are forgotten); sub:{user}:{contact} hash; s:{sid} (interested), out stream
--
-- A bare JID needs no escaping: RFC 7622 section 3.3.1 excludes what XML would have to.

do

local REMOVED = 200        -- removals that are remembered, for clients that ask what has changed
local REQUESTS = 500       -- requests of one account that wait for an answer
local LARGEST_REQUEST = 4096
local CHANGES = 100        -- more than so many, and the whole roster is told

local function reads(item) return item and (item.s == 'to' or item.s == 'both') or false end
local function read_by(item) return item and (item.s == 'from' or item.s == 'both') or false end

local function set(item, to, from)
  item.s = to and (from and 'both' or 'to') or (from and 'from' or 'none')
end

local function item_of(p, user, contact)
  local value = redis.call('HGET', K.roster(p, user), contact)
  return value and cjson.decode(value) or nil
end

-- The account's hash, also while the account is disabled. Whoever writes to it has found it first: what comes late must
-- not bring a removed account back.
local function account_of(p, user)
  return redis.call('EXISTS', K.disabled(p, user)) == 1 and K.disabled(p, user) or K.account(p, user)
end

-- The version goes on from the clock, so that an account that is made anew never repeats one.
local function version_of(p, user)
  local v = redis.call('HMGET', account_of(p, user), 'roster_version', 'created_at')
  return tonumber(v[1] or (v[2] or 0) + 1)
end

local function next_version(p, user)
  local version = math.max(version_of(p, user) + 1, now())
  redis.call('HSET', account_of(p, user), 'roster_version', version)
  return version
end

local function render(contact, item)
  local text = "<item jid='" .. contact .. "'" .. (item.n or '')
  if item.approved then text = text .. " approved='true'" end
  if item.ask then text = text .. " ask='subscribe'" end
  text = text .. " subscription='" .. item.s .. "'"
  return text .. (item.x and '>' .. item.x .. '</item>' or '/>')
end

local REMOVED_ITEM = "<item jid='%s' subscription='remove'/>"

local function put_push(p, s, version, item, limits)
  local jid, number = redis.call('HGET', K.session(p, s.sid), 'jid'), string.format('%d', version)
  local push = "<iq type='set' id='roster-" .. number .. "' to='" .. jid .. "'><query xmlns='jabber:iq:roster' ver='"
    .. number .. "'>" .. item .. '</query></iq>'
  return put(p, s, 'r', '', now(), '', push, limits, true) or 0
end

-- To every interested resource (section 2.1.6), told in `placed`; `stanza` goes before it (section 3).
local function tell_interested(p, user, stanza, version, item, limits, placed)
  for _, s in ipairs(sessions_of(p, user)) do
    if redis.call('HGET', K.session(p, s.sid), 'interested') == '1' then
      local position = 0
      if stanza then position = put(p, s, 'p', '', now(), '', stanza, limits) or 0 end
      if item then position = math.max(position, put_push(p, s, version, item, limits)) end
      local n = #placed
      placed[n + 1], placed[n + 2], placed[n + 3] = s.sid, s.node, position
    end
  end
end

-- An item is new or has changed.
local function change(p, user, contact, item, limits, placed, stanza)
  item.v = next_version(p, user)
  redis.call('HSET', K.roster(p, user), contact, cjson.encode(item))
  redis.call('ZREM', K.removed(p, user), contact)
  tell_interested(p, user, stanza, item.v, render(contact, item), limits, placed)
end

local function post(p, user, contact, type, stanza)
  return redis.call('XADD', K.outbox(p), '*', 'do', 'subscription', 'user', user, 'contact', contact, 'type', type,
    'stanza', stanza)
end

local function plain(user, contact, type)
  return "<presence from='" .. user .. "' to='" .. contact .. "' type='" .. type .. "'/>"
end

-- The account is being removed: every subscription ends on the contacts' side as well.
function Roster.forget(p, user)
  local all = redis.call('HGETALL', K.roster(p, user))
  for i = 1, #all, 2 do
    local item = cjson.decode(all[i + 1])
    if reads(item) or item.ask then post(p, user, all[i], 'unsubscribe', plain(user, all[i], 'unsubscribe')) end
    if read_by(item) then post(p, user, all[i], 'unsubscribed', plain(user, all[i], 'unsubscribed')) end
  end
  for _, contact in ipairs(redis.call('HKEYS', K.requests(p, user))) do
    post(p, user, contact, 'unsubscribed', plain(user, contact, 'unsubscribed'))
  end
  redis.call('UNLINK', K.roster(p, user), K.requests(p, user), K.removed(p, user))
end

-- What has changed since a version: {version, item as XML} from the oldest on.
local function changes_since(p, user, version)
  local found, all = {}, redis.call('HGETALL', K.roster(p, user))
  for i = 1, #all, 2 do
    local item = cjson.decode(all[i + 1])
    if item.v > version then found[#found + 1] = { item.v, render(all[i], item) } end
  end
  local removed = redis.call('ZRANGEBYSCORE', K.removed(p, user), string.format('(%d', version), '+inf', 'WITHSCORES')
  for i = 1, #removed, 2 do
    found[#found + 1] = { tonumber(removed[i + 1]), string.format(REMOVED_ITEM, removed[i]) }
  end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  return found
end

-- A version that was given to a client and of which all that came after it is known.
local function known_version(p, user, text)
  if not string.match(text, '^%d+$') or #text > 15 then return nil end
  local v = redis.call('HMGET', account_of(p, user), 'created_at', 'roster_floor')
  local version = tonumber(text)
  if version <= tonumber(v[1] or 0) or version < tonumber(v[2] or 0) or version > version_of(p, user) then return nil end
  return version
end

-- roster: the whole of it, or word that the changes since the client's version follow (section 2.6)
-- KEYS[1] prefix   ARGV user, version the client has ('' = none)
-- answers {'whole', version, items as XML} | {'since', version}
register('roster', function(keys, args)
  local p, user = keys[1], args[1]
  local since = known_version(p, user, args[2])
  if since and #changes_since(p, user, since) <= CHANGES then return { 'since', since } end
  local items, all = {}, redis.call('HGETALL', K.roster(p, user))
  for i = 1, #all, 2 do items[#items + 1] = render(all[i], cjson.decode(all[i + 1])) end
  return { 'whole', version_of(p, user), table.concat(items) }
end)

-- roster_follow: the session is told of changes from this version on: those there are, and those to come
-- KEYS[1] prefix   ARGV sid, epoch, version, queue limit, quota   answers {'ok', tail} | {'stale'}
register('roster_follow', function(keys, args)
  local p, limits, version = keys[1], limits_of(args, 4), tonumber(args[3])
  local s = own(p, args[1], args[2])
  if not s then return { 'stale' } end
  redis.call('HSET', K.session(p, s.sid), 'interested', '1')
  if version_of(p, s.user) > version then
    for _, each in ipairs(changes_since(p, s.user, version)) do put_push(p, s, each[1], each[2], limits) end
  end
  return { 'ok', visible(s) }
end)

-- There is no room for another item; least of all in the roster of an account that was removed a moment ago.
local function is_full(p, user, most)
  return redis.call('HLEN', K.roster(p, user)) >= tonumber(most) or redis.call('EXISTS', account_of(p, user)) == 0
end

-- roster_set: name and groups of an item, which is made if it is not there
-- KEYS[1] prefix   ARGV user, contact, name as XML, groups as JSON, groups as XML, most items, queue limit, quota
-- answers {'ok', sid, node, position, …} | {'full'}
register('roster_set', function(keys, args)
  local p, user, contact, answer = keys[1], args[1], args[2], { 'ok' }
  local item = item_of(p, user, contact)
  if not item and is_full(p, user, args[6]) then return { 'full' } end
  item = item or { s = 'none' }
  item.n, item.g, item.x = args[3], nil, nil
  if args[5] ~= '' then item.g, item.x = cjson.decode(args[4]), args[5] end
  change(p, user, contact, item, limits_of(args, 7), answer)
  return answer
end)

-- roster_remove: the item is gone, and its subscriptions end both ways (section 2.5)
-- KEYS[1] prefix   ARGV user, contact, queue limit, quota
-- answers {'ok', outbox entry or '', type, outbox entry or '', type, sid, node, position, …} | {'absent'}
register('roster_remove', function(keys, args)
  local p, user, contact = keys[1], args[1], args[2]
  local item = item_of(p, user, contact)
  if not item then   -- sent again after a lost connection, the newest change is its removal
    local at = tonumber(redis.call('ZSCORE', K.removed(p, user), contact) or 0)
    return { at > 0 and at == version_of(p, user) and 'ok' or 'absent', '', '' }
  end
  local answer, key = { 'ok', '', '' }, K.removed(p, user)
  if reads(item) or item.ask then answer[2] = post(p, user, contact, 'unsubscribe', plain(user, contact, 'unsubscribe')) end
  if read_by(item) or redis.call('HEXISTS', K.requests(p, user), contact) == 1 then
    answer[3] = post(p, user, contact, 'unsubscribed', plain(user, contact, 'unsubscribed'))
  end
  redis.call('HDEL', K.roster(p, user), contact)
  redis.call('HDEL', K.requests(p, user), contact)
  local version = next_version(p, user)
  redis.call('ZADD', key, version, contact)
  while redis.call('ZCARD', key) > REMOVED do
    redis.call('HSET', account_of(p, user), 'roster_floor', redis.call('ZPOPMIN', key)[2])
  end
  tell_interested(p, user, nil, version, string.format(REMOVED_ITEM, contact), limits_of(args, 3), answer)
  return answer
end)

-- Appendix A.2: what a user's own subscription stanza does to the user's side. Answers the item if it has changed, and
-- whether the stanza goes on to the contact.
local OUT = {}

function OUT.subscribe(item)
  if reads(item) or item and item.ask then return nil, true end
  item = item or { s = 'none' }
  item.ask = true
  return item, true
end

function OUT.unsubscribe(item)
  if not reads(item) and not (item and item.ask) then return nil, true end
  set(item, false, read_by(item))
  item.ask = nil
  return item, true
end

function OUT.subscribed(item, is_asked)
  if is_asked then
    item = item or { s = 'none' }
    set(item, reads(item), true)
    item.approved = nil
    return item, true
  end
  if read_by(item) or item and item.approved then return nil, false end
  item = item or { s = 'none' }
  item.approved = true   -- section 3.4
  return item, false
end

function OUT.unsubscribed(item, is_asked)
  local was_read = read_by(item)
  if not was_read and not (item and item.approved) then return nil, is_asked end
  set(item, reads(item), false)
  item.approved = nil
  return item, is_asked or was_read
end

-- subscription_out: the user's side of a subscription stanza; what goes on waits in the outbox until the contact has it
-- KEYS[1] prefix   ARGV user, contact, type, stanza, most items, queue limit, quota
-- answers {'ok', outbox entry or '' (does not go on), sid, node, position, …} | {'full'} | {'blocked-by-you'}
register('subscription_out', function(keys, args)
  local p, user, contact, type = keys[1], args[1], args[2], args[3]
  if Blocking.blocks(p, user, contact) then return { 'blocked-by-you' } end
  local before = item_of(p, user, contact)
  local is_asked = redis.call('HEXISTS', K.requests(p, user), contact) == 1
  local item, goes_on = OUT[type](before, is_asked)
  if item and not before and is_full(p, user, args[5]) then return { 'full' } end
  if is_asked and (type == 'subscribed' or type == 'unsubscribed') then
    redis.call('HDEL', K.requests(p, user), contact)
  end
  local answer = { 'ok', goes_on and post(p, user, contact, type, args[4]) or '' }
  if item then change(p, user, contact, item, limits_of(args, 6), answer) end
  return answer
end)

-- Of two stanzas about the same direction the one that was posted later counts, whichever comes first.
local function is_fresh(p, user, contact, type, id)
  if id == '' then return true end
  local direction = (type == 'subscribe' or type == 'unsubscribe') and 'a' or 'g'
  local key = K.subscription(p, redis.sha1hex(user .. ' ' .. contact))   -- outlives both: names neither
  local ms, seq = string.match(redis.call('HGET', key, direction) or '0-0', '^(%d+)-(%d+)$')
  local new_ms, new_seq = string.match(id, '^(%d+)-(%d+)$')
  ms, seq, new_ms, new_seq = tonumber(ms), tonumber(seq), tonumber(new_ms), tonumber(new_seq)
  if new_ms < ms or new_ms == ms and new_seq <= seq then return false end
  redis.call('HSET', key, direction, id)
  redis.call('EXPIRE', key, 86400)
  return true
end

local function put_to_available(p, user, contact, stanza, limits, placed)
  for _, s in ipairs(available(p, user, '', true)) do
    local n, position = #placed, put(p, s, 'p', '', now(), '', stanza, limits) or 0
    placed[n + 1], placed[n + 2], placed[n + 3] = s.sid, s.node, position
  end
end

-- Appendix A.3: what a contact's subscription stanza does to the user's side. Each answers the automatic reply's type
-- ('' = none), and what presence of the user goes with it: 'now', 'gone' or nil.
local IN = {}

function IN.subscribe(p, user, contact, stanza, item, limits, placed, fresh)
  if read_by(item) then return 'subscribed', 'now' end
  if not fresh then return '' end
  if item and item.approved then
    set(item, reads(item), true)
    item.approved = nil
    change(p, user, contact, item, limits, placed)
    return 'subscribed', 'now'
  end
  local key = K.requests(p, user)
  if redis.call('HEXISTS', key, contact) == 1 or redis.call('HLEN', key) >= REQUESTS then return '' end
  redis.call('HSET', key, contact, #stanza <= LARGEST_REQUEST and stanza or plain(contact, user, 'subscribe'))
  put_to_available(p, user, contact, stanza, limits, placed)
  return ''
end

function IN.unsubscribe(p, user, contact, stanza, item, limits, placed, fresh)
  if not fresh then return '', not read_by(item) and 'gone' or nil end
  local was_asked = redis.call('HDEL', K.requests(p, user), contact) == 1
  if read_by(item) then
    set(item, reads(item), false)
    change(p, user, contact, item, limits, placed, stanza)
    return '', 'gone'
  end
  if was_asked then tell_interested(p, user, stanza, nil, nil, limits, placed) end
  return ''
end

function IN.subscribed(p, user, contact, stanza, item, limits, placed, fresh)
  if fresh and item and item.ask and not reads(item) then
    set(item, true, read_by(item))
    item.ask = nil
    change(p, user, contact, item, limits, placed, stanza)
  end
  return ''
end

function IN.unsubscribed(p, user, contact, stanza, item, limits, placed, fresh)
  if fresh and (reads(item) or item and item.ask) then
    set(item, false, read_by(item))
    item.ask = nil
    change(p, user, contact, item, limits, placed, stanza)
  end
  return ''
end

-- A probe was refused: the contact's side does not know of the subscription that this side believes in.
function IN.refused(p, user, contact, stanza, item, limits, placed)
  if reads(item) then
    set(item, false, read_by(item))
    change(p, user, contact, item, limits, placed, stanza)
  end
  return ''
end

-- subscription_in: the contact's side of a subscription stanza, with the presence that belongs to it
-- KEYS[1] prefix
-- ARGV user (whose side this is), contact (who sent it), type ('' = presence alone; 'refused'), outbox entry it comes
--      from ('' = none), stanza, queue limit, quota, then full JID, presence of the contact, …
-- answers {'ok', automatic reply's type or '', {sid, node, position, …}, {full JID, presence of the user, …}} | {'none'}
register('subscription_in', function(keys, args)
  local p, user, contact, type, limits, placed = keys[1], args[1], args[2], args[3], limits_of(args, 6), {}
  if redis.call('EXISTS', account_of(p, user)) == 0 or Blocking.blocks(p, user, contact) then return { 'none' } end
  local reply, presence = '', nil
  if type ~= '' then
    local fresh = is_fresh(p, user, contact, type, args[4])
    reply, presence = IN[type](p, user, contact, args[5], item_of(p, user, contact), limits, placed, fresh)
  end
  if type ~= 'subscribed' or reads(item_of(p, user, contact)) then
    for i = 8, #args, 2 do Presence.put(p, user, '', now(), args[i], args[i + 1], limits, placed) end
  end
  local shown = presence and Presence.of(p, user, contact, presence == 'gone') or {}
  return { 'ok', reply, placed, shown }
end)

end
