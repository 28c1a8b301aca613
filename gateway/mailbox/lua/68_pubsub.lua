-- Personal eventing (XEP-0163): an account's nodes, their items, who may see them, and who is told.
-- Keys: pub:{user} hash, node -> configuration (JSON; the fields are those of gateway/mailbox/pubsub_model.py)
--       pubi:{user}:{node} hash, item id -> 'ms of publication|<item/>', '' -> bytes of all of them
--       pubo:{user}:{node} zset, item id -> its turn
--       pubs:{user} hash, 'node\nJID' -> '1': explicit subscriptions
--       puba:{user} hash, 'node\nbare JID' -> 'member' | 'outcast'
--       acct:{user} (pubsub_bytes: of all items together), roster:{user}, s:{sid} (notify, jid, priority), j:{process}
--
-- Here is what the operations share; they are in 68_pubsub_owner.lua, 68_pubsub_reader.lua and 68_pubsub_session.lua.
--
-- Who asks for what is not there, or not for him, gets 'no-account' unless he is a contact that gets the owner's
-- presence: nobody else learns whether there is such an account.

do

local REMEMBERED = 3600000   -- ms; longer than any outage over which a journal keeps what it could not get answered
local PAGE = 500             -- contacts looked at in one step

-- Has this request of a process been taken? The journal sends again whatever it got no answer to.
local function is_repeated(p, process, serial)
  local before = redis.call('GET', K.taken(p, process))
  return before and tonumber(before) >= tonumber(serial)
end

-- The mark only rises: of several requests that come again the first must not make the others look new.
local function take(p, process, serial)
  if is_repeated(p, process, serial) then return end
  redis.call('SET', K.taken(p, process), serial, 'PX', REMEMBERED)
end

-- The account's hash, also while the account is disabled: what is counted must not bring acct:{user} into being.
local function account_of(p, owner)
  return redis.call('EXISTS', K.disabled(p, owner)) == 1 and K.disabled(p, owner) or K.account(p, owner)
end

local function config_of(p, owner, node)
  local text = redis.call('HGET', K.nodes(p, owner), node)
  return text and cjson.decode(text)
end

local function roster_item(p, owner, bare)
  local text = redis.call('HGET', K.roster(p, owner), bare)
  return text and cjson.decode(text) or {}
end

local function gets_presence(item) return item.s == 'from' or item.s == 'both' end

-- `groups` as the configuration keeps them: each between line feeds.
local function is_in_group(item, groups)
  for _, group in ipairs(item.g or {}) do
    if string.find(groups, '\n' .. group .. '\n', 1, true) then return true end
  end
  return false
end

-- Why this bare JID may not read the node; nil: it may (XEP-0060 section 4.5). `item` is what the owner's roster says
-- of it, if that has been read.
local function refusal(p, owner, node, config, bare, item)
  if bare == owner then return nil end
  local affiliation = redis.call('HGET', K.node_affiliations(p, owner), node .. '\n' .. bare)
  if affiliation == 'outcast' then return 'forbidden' end
  if affiliation == 'member' or config.access_model == 'open' then return nil end
  if config.access_model == 'whitelist' then return 'closed-node' end
  item = item or roster_item(p, owner, bare)
  if not gets_presence(item) then return 'presence-subscription-required' end
  if config.access_model == 'roster' and not is_in_group(item, config.roster_groups_allowed) then
    return 'not-in-roster-group'
  end
  return nil
end

-- May this JID know that there is such an account? Then nil, else what an account that does not exist answers.
local function unknown(p, owner, asker)
  if redis.call('EXISTS', K.account(p, owner)) == 0 then return 'no-account' end
  local bare = bare_of(asker)
  if bare == owner then return nil end
  if Blocking.blocks(p, owner, asker) or not gets_presence(roster_item(p, owner, bare)) then return 'no-account' end
  return nil
end

-- The node's configuration, if the asker may read the node; else nil and why not.
local function open_node(p, owner, node, asker)
  if redis.call('EXISTS', K.account(p, owner)) == 0 then return nil, 'no-account' end
  local bare = bare_of(asker)
  if bare ~= owner and Blocking.blocks(p, owner, asker) then return nil, 'no-account' end
  local config = config_of(p, owner, node)
  local why = 'item-not-found'
  if config then why = refusal(p, owner, node, config, bare) end
  if why then return nil, unknown(p, owner, asker) or why end
  return config
end

-- Items

local function count_bytes(p, owner, node, n)
  redis.call('HINCRBY', K.node_items(p, owner, node), '', n)
  redis.call('HINCRBY', account_of(p, owner), 'pubsub_bytes', n)
end

local function drop_item(p, owner, node, id)
  local key = K.node_items(p, owner, node)
  local bytes = redis.call('HSTRLEN', key, id)
  if bytes == 0 then return false end
  count_bytes(p, owner, node, -bytes)
  redis.call('ZREM', K.node_order(p, owner, node), id)
  redis.call('HDEL', key, id)
  return true
end

local function drop_all(p, owner, node)
  local key = K.node_items(p, owner, node)
  redis.call('HINCRBY', account_of(p, owner), 'pubsub_bytes', -tonumber(redis.call('HGET', key, '') or 0))
  redis.call('UNLINK', key, K.node_order(p, owner, node))
end

local function read_item(p, owner, node, id)
  local value = redis.call('HGET', K.node_items(p, owner, node), id)
  local stamp, at = string.match(value or '', '^(%d+)|()')
  if not stamp then return nil end
  return string.sub(value, at), tonumber(stamp)
end

-- How many items the node may hold; 0 is the word `max` of XEP-0060: as many as this server allows at all.
local function room_of(config, most)
  if not config.persist_items then return 0 end
  return config.max_items == 0 and most or math.min(config.max_items, most)
end

-- What is too old or too much goes, oldest first; answers the ids of what was too much.
local function trim(p, owner, node, config, most)
  local order, gone = K.node_order(p, owner, node), {}
  local expire = config.item_expire > 0 and now() - config.item_expire * 1000
  for _ = 1, expire and PIECE or 0 do
    local id = redis.call('ZRANGE', order, 0, 0)[1]
    local _, stamp = read_item(p, owner, node, id or '')
    if not id or stamp > expire then break end
    drop_item(p, owner, node, id)
  end
  local over = math.min(redis.call('ZCARD', order) - room_of(config, most), PIECE)
  for _, id in ipairs(over > 0 and redis.call('ZRANGE', order, 0, over - 1) or {}) do
    drop_item(p, owner, node, id)
    gone[#gone + 1] = id
  end
  return gone
end

local function store_item(p, owner, node, id, item)
  local key, order = K.node_items(p, owner, node), K.node_order(p, owner, node)
  local value = string.format('%.0f|', now()) .. item
  count_bytes(p, owner, node, #value - redis.call('HSTRLEN', key, id))
  redis.call('HSET', key, id, value)
  local newest = redis.call('ZRANGE', order, -1, -1, 'WITHSCORES')
  redis.call('ZADD', order, tonumber(newest[2] or 0) + 1, id)
end

-- Events

-- Milliseconds since 1970 as XEP-0082 writes them. (Days are counted from March, so that leap days come last.)
local function timestamp(ms)
  local seconds = math.floor(ms / 1000)
  local day = math.floor(seconds / 86400) + 719468
  local era = math.floor(day / 146097)
  local left = day - era * 146097
  local year = math.floor((left - math.floor(left / 1460) + math.floor(left / 36524) - math.floor(left / 146096)) / 365)
  left = left - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * left + 2) / 153)
  local date = left - math.floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  return string.format('%04d-%02d-%02dT%02d:%02d:%02dZ', year + era * 400 + (month <= 2 and 1 or 0), month, date,
    math.floor(seconds / 3600) % 24, math.floor(seconds / 60) % 60, seconds % 60)
end

local function event(owner_xml, to_xml, type, id, inner, ms)
  local delay = ms and "<delay xmlns='urn:xmpp:delay' stamp='" .. timestamp(ms) .. "'/>" or ''
  return "<message from='" .. owner_xml .. "' to='" .. to_xml .. "' type='" .. type .. "' id='" .. id
    .. "'><event xmlns='http://jabber.org/protocol/pubsub#event'>" .. inner .. '</event>' .. delay .. '</message>'
end

local ENTITIES = { ['&'] = '&amp;', ['<'] = '&lt;', ['>'] = '&gt;', ["'"] = '&apos;', ['"'] = '&quot;' }

local function xml(text) return (string.gsub(text, "[&<>'\"]", ENTITIES)) end

local function items_xml(node_xml, inner) return "<items node='" .. node_xml .. "'>" .. inner .. '</items>' end

-- By this name an event that waits is replaced by a newer one: of the same item, or of a node that holds only one.
local function name_of(owner, node, config, id)
  return owner .. '\n' .. node .. '\n' .. (config.persist_items and config.max_items ~= 1 and id or '')
end

local function wants(notify, node) return notify and string.find(notify, '\n' .. node .. '\n', 1, true) ~= nil end

-- Put an event into those sessions of `user` that want it. `how`: 'i' = whose client asks for the node by its
-- capabilities, 'a' = every available one, and resources by name, each between line feeds. `ahead` was told already.
local function tell(p, user, node, how, name, make, limits, is_repeated_now, answer)
  local flags, resources = string.match(how, '^(%l*)(.*)$')
  for _, s in ipairs(sessions_of(p, user)) do
    local v = redis.call('HMGET', K.session(p, s.sid), 'jid', 'notify', 'resource')
    if s.priority ~= '' and (has(flags, 'a') or has(flags, 'i') and wants(v[2], node) or wants(resources, v[3])) then
      local position = visible(s)
      if not is_repeated_now then position = put_aside(p, s, 'e', now(), name, make(v[1]), limits) end
      local n = #answer
      answer[n + 1], answer[n + 2], answer[n + 3] = s.sid, s.node, position or 0
    end
  end
  return answer
end

-- Explicit subscribers of a node: bare JID -> how they are told (see `tell`). Who has lost access has lost his
-- subscription (XEP-0163 section 7.1).
local function subscribers(p, owner, node, config)
  local found, key = {}, K.node_subscribers(p, owner)
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local its, jid = string.match(field, '^(.-)\n(.*)$')
    if its == node then
      local bare, resource = string.match(jid, '^([^/]*)/?(.*)$')
      if refusal(p, owner, node, config, bare) then
        redis.call('HDEL', key, field)
      elseif resource == '' then
        found[bare] = 'a' .. (found[bare] or '')
      else
        found[bare] = (found[bare] or '\n') .. resource .. '\n'
      end
    end
  end
  return found
end

-- Who is told besides the owner's own sessions: a page of contacts (with `found`, subscribers too), as cursor,
-- {bare JID, how, …}. Cursor '0': there are no more.
local function audience(p, owner, node, config, cursor, found)
  if config.access_model ~= 'whitelist' then
    local page = redis.call('HSCAN', K.roster(p, owner), cursor, 'COUNT', PAGE)
    cursor = page[1]
    for i = 1, #page[2], 2 do
      local bare, item = page[2][i], cjson.decode(page[2][i + 1])
      if gets_presence(item) and not refusal(p, owner, node, config, bare, item) then
        found[bare] = 'i' .. (found[bare] or '')
      end
    end
  end
  local answer = {}
  for bare, how in pairs(found) do
    if bare ~= owner and not Blocking.blocks(p, owner, bare) then
      answer[#answer + 1], answer[#answer + 2] = bare, how
    end
  end
  return cursor, answer
end

local NOBODY = { 'ok', '', '', {}, '0', {} }

-- Tell the owner's own sessions, and answer who else is to be told and how:
-- {'ok', message type, name, {sid, node, position, …}, cursor, {bare JID, how, …}}
local function announce(p, owner, owner_xml, node, config, id, inner, event_id, limits, is_repeated_now)
  if not config.deliver_notifications then return NOBODY end
  local kind, name = config.notification_type, name_of(owner, node, config, id)
  local function make(to_xml) return event(owner_xml, to_xml, kind, event_id, inner) end
  local found = subscribers(p, owner, node, config)
  local placed = tell(p, owner, node, 'i' .. (found[owner] or ''), name, make, limits, is_repeated_now, {})
  return { 'ok', kind, name, placed, audience(p, owner, node, config, '0', found) }
end

-- What the other files about pubsub use.
Pubsub.is_repeated, Pubsub.take, Pubsub.config_of, Pubsub.roster_item, Pubsub.refusal, Pubsub.unknown =
  is_repeated, take, config_of, roster_item, refusal, unknown
Pubsub.open_node, Pubsub.drop_item, Pubsub.drop_all, Pubsub.read_item, Pubsub.room_of, Pubsub.trim =
  open_node, drop_item, drop_all, read_item, room_of, trim
Pubsub.store_item, Pubsub.event, Pubsub.xml, Pubsub.items_xml, Pubsub.name_of, Pubsub.wants =
  store_item, event, xml, items_xml, name_of, wants
Pubsub.tell, Pubsub.audience, Pubsub.announce, Pubsub.NOBODY =
  tell, audience, announce, NOBODY

end
