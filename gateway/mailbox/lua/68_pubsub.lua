-- Personal eventing (XEP-0163): an account's nodes, their items, who may see them, and who is told.
-- Keys: pub:{user} hash, node -> configuration (JSON; the fields are those of gateway/mailbox/pubsub_model.py)
--       pubi:{user}:{node} hash, item id -> 'ms of publication|<item/>', '' -> bytes of all of them   pubo:{user}:{node} zset, item id -> its turn
--       pubs:{user} hash, 'node\nJID' -> '1': explicit subscriptions
--       puba:{user} hash, 'node\nbare JID' -> 'member' | 'outcast'
--       acct:{user} (pubsub_bytes: of all items together), roster:{user}, s:{sid} (notify, jid, priority), j:{process}
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

local function take(p, process, serial) redis.call('SET', K.taken(p, process), serial, 'PX', REMEMBERED) end

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

-- Why this bare JID may not read the node; nil: it may (XEP-0060 section 4.5). `item` is what the owner's roster says of
-- it, if that has been read.
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
  redis.call('HINCRBY', K.account(p, owner), 'pubsub_bytes', n)
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
  redis.call('HINCRBY', K.account(p, owner), 'pubsub_bytes', -tonumber(redis.call('HGET', key, '') or 0))
  redis.call('UNLINK', key, K.node_order(p, owner, node))
end

local function read_item(p, owner, node, id)
  local value = redis.call('HGET', K.node_items(p, owner, node), id)
  if not value then return nil end
  local stamp, at = string.match(value, '^(%d+)|()')
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
  for _, id in ipairs(expire and redis.call('ZRANGE', order, 0, PIECE - 1) or {}) do
    local _, stamp = read_item(p, owner, node, id)
    if stamp > expire then break end
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

-- Operations

-- pubsub_standing: what somebody who is not the owner is told about an owner's request
-- KEYS[1] prefix   ARGV owner, asker (full JID)   answers 'forbidden' | 'no-account'
register('pubsub_standing', function(keys, args)
  return unknown(keys[1], args[1], args[2]) or 'forbidden'
end)

-- XEP-0060 section 7.1.5: every option is a precondition. Answers the name of one that is not met.
local function unmet(config, options, most)
  for name, value in pairs(options) do
    local is = config[name]
    if name == 'max_items' then
      is, value = room_of({ persist_items = true, max_items = is }, most), value == 0 and most or value
    end
    if is ~= value then return name end
  end
  return nil
end

local function create(p, owner, node, defaults, options, most_nodes)
  if redis.call('HLEN', K.nodes(p, owner)) >= tonumber(most_nodes) then return nil end
  local config = cjson.decode(defaults)
  for name, value in pairs(cjson.decode(options)) do config[name] = value end
  config.created = now()
  redis.call('HSET', K.nodes(p, owner), node, cjson.encode(config))
  return config
end

-- pubsub_create: KEYS[1] prefix   ARGV process, serial, owner, node, defaults (JSON), options (JSON), most nodes
-- answers 'ok' | 'conflict' | 'too-many-nodes' | 'no-account'
register('pubsub_create', function(keys, args)
  local p, owner, node = keys[1], args[3], args[4]
  if is_repeated(p, args[1], args[2]) then return 'ok' end
  if redis.call('EXISTS', K.account(p, owner)) == 0 then return 'no-account' end
  if redis.call('HEXISTS', K.nodes(p, owner), node) == 1 then return 'conflict' end
  if not create(p, owner, node, args[5], args[6], args[7]) then return 'too-many-nodes' end
  take(p, args[1], args[2])
  return 'ok'
end)

-- pubsub_publish: an item; the node is made if need be, with the options as its configuration
-- KEYS[1] prefix
-- ARGV process, serial, owner, owner escaped, node, node escaped, item id, <item/>, <item/> without its payload,
--      defaults (JSON), options (JSON), event id, most nodes, most items, most bytes of an account, queue limit, quota
-- answers {'ok', message type, name, {placed}, cursor, {audience}, 'full' | 'bare' (what is told of the item),
--          {ids that had to go, if that is told}}
--       | {'precondition-not-met', field} | {'too-many-nodes'} | {'payload-too-big'} | {'quota'} | {'no-account'}
register('pubsub_publish', function(keys, args)
  local p, owner, node, id, item = keys[1], args[3], args[5], args[7], args[8]
  if redis.call('EXISTS', K.account(p, owner)) == 0 then return { 'no-account' } end
  local config, again, gone = config_of(p, owner, node), is_repeated(p, args[1], args[2]), {}
  local most, former = tonumber(args[14]), config
  if not again then
    local field = config and unmet(config, cjson.decode(args[11]), most)
    if field then return { 'precondition-not-met', field } end
    config = config or cjson.decode(args[10])
    if config.max_payload_size > 0 and #item > config.max_payload_size then return { 'payload-too-big' } end
    local held = tonumber(redis.call('HGET', K.account(p, owner), 'pubsub_bytes') or 0)
    if held + #item - redis.call('HSTRLEN', K.node_items(p, owner, node), id) > tonumber(args[15]) then
      return { 'quota' }
    end
    if not former then
      config = create(p, owner, node, args[10], args[11], args[13])
      if not config then return { 'too-many-nodes' } end
    end
    take(p, args[1], args[2])
    if config.persist_items then store_item(p, owner, node, id, item) end
    gone = trim(p, owner, node, config, most)
  end
  if not config then return { 'no-account' } end   -- deleted since it was taken
  if not config.notify_retract then gone = {} end
  local shown = config.deliver_payloads and item or args[9]
  local told = announce(p, owner, args[4], node, config, id, items_xml(args[6], shown), args[12], limits_of(args, 16),
    again)
  return { told[1], told[2], told[3], told[4], told[5], told[6], config.deliver_payloads and 'full' or 'bare', gone }
end)

-- pubsub_tell: an event about a node for the owner's sessions   KEYS[1] prefix
-- ARGV process, serial, owner, owner escaped, node, item id, content of <event/>, event id, queue limit, quota
-- answers {'ok', message type, name, {placed}, cursor, {audience}}
register('pubsub_tell', function(keys, args)
  local p, owner, node = keys[1], args[3], args[5]
  local config, again = config_of(p, owner, node), is_repeated(p, args[1], args[2])
  if not config then return NOBODY end
  take(p, args[1], args[2])
  return announce(p, owner, args[4], node, config, args[6], args[7], args[8], limits_of(args, 9), again)
end)

-- pubsub_audience: the next page   KEYS[1] prefix   ARGV owner, node, cursor   answers {cursor, {bare JID, how, …}}
register('pubsub_audience', function(keys, args)
  local config = config_of(keys[1], args[1], args[2])
  if not config then return { '0', {} } end
  return { audience(keys[1], args[1], args[2], config, args[3], {}) }
end)

-- pubsub_notify: somebody else's event for an account's sessions, unless it blocks him
-- KEYS[1] prefix
-- ARGV process, serial, user, owner, owner escaped, node, how, name, message type, event id, content of <event/>,
--      ms of publication ('' = now), queue limit, quota
-- answers {sid, node, position, …}
register('pubsub_notify', function(keys, args)
  local p, user = keys[1], args[3]
  local again = is_repeated(p, args[1], args[2])
  take(p, args[1], args[2])
  if Blocking.blocks(p, user, args[4]) then return {} end
  local function make(to_xml) return event(args[5], to_xml, args[9], args[10], args[11], tonumber(args[12])) end
  return tell(p, user, args[6], args[7], args[8], make, limits_of(args, 13), again, {})
end)

-- pubsub_retract: KEYS[1] prefix
-- ARGV process, serial, owner, owner escaped, node, item id, content of <event/>, event id, '1' = tell of it whatever
--      the configuration says, queue limit, quota
-- answers {'ok', message type, name, {placed}, cursor, {audience}} | {'item-not-found'} | {'persistent-items'}
--       | {'no-account'}
register('pubsub_retract', function(keys, args)
  local p, owner, node = keys[1], args[3], args[5]
  if redis.call('EXISTS', K.account(p, owner)) == 0 then return { 'no-account' } end
  local config, again = config_of(p, owner, node), is_repeated(p, args[1], args[2])
  if not config then return again and NOBODY or { 'item-not-found' } end
  if not again then
    if not config.persist_items then return { 'persistent-items' } end
    if not drop_item(p, owner, node, args[6]) then return { 'item-not-found' } end
    take(p, args[1], args[2])
  end
  if args[9] ~= '1' and not config.notify_retract then return NOBODY end
  return announce(p, owner, args[4], node, config, args[6], args[7], args[8], limits_of(args, 10), again)
end)

-- pubsub_empty: purge a node's items, or delete the node with all that belongs to it
-- KEYS[1] prefix
-- ARGV process, serial, owner, owner escaped, node, 'purge' | 'delete', content of <event/>, event id, queue limit,
--      quota
-- answers as pubsub_retract
register('pubsub_empty', function(keys, args)
  local p, owner, node = keys[1], args[3], args[5]
  if redis.call('EXISTS', K.account(p, owner)) == 0 then return { 'no-account' } end
  local config, again = config_of(p, owner, node), is_repeated(p, args[1], args[2])
  if not config then return again and NOBODY or { 'item-not-found' } end
  if args[6] == 'purge' and not config.persist_items then return { 'persistent-items' } end
  take(p, args[1], args[2])
  local answer = NOBODY
  if args[6] == 'purge' or config.notify_delete then
    answer = announce(p, owner, args[4], node, config, '', args[7], args[8], limits_of(args, 9), again)
  end
  drop_all(p, owner, node)
  if args[6] == 'delete' then
    redis.call('HDEL', K.nodes(p, owner), node)
    for _, key in ipairs({ K.node_subscribers(p, owner), K.node_affiliations(p, owner) }) do
      for _, field in ipairs(redis.call('HKEYS', key)) do
        if string.sub(field, 1, #node + 1) == node .. '\n' then redis.call('HDEL', key, field) end
      end
    end
  end
  return answer
end)

-- pubsub_configure: KEYS[1] prefix
-- ARGV process, serial, owner, owner escaped, node, fields that change (JSON), content of <event/> ('' = nobody is
--      told), event id, most items, queue limit, quota
-- answers {'ok', message type, name, {placed}, cursor, {audience}} | {'item-not-found'} | {'no-account'}
register('pubsub_configure', function(keys, args)
  local p, owner, node = keys[1], args[3], args[5]
  if redis.call('EXISTS', K.account(p, owner)) == 0 then return { 'no-account' } end
  local config, again = config_of(p, owner, node), is_repeated(p, args[1], args[2])
  if not config then return { 'item-not-found' } end
  for name, value in pairs(cjson.decode(args[6])) do config[name] = value end
  redis.call('HSET', K.nodes(p, owner), node, cjson.encode(config))
  take(p, args[1], args[2])
  trim(p, owner, node, config, tonumber(args[9]))
  if args[7] == '' or not config.notify_config then return NOBODY end
  return announce(p, owner, args[4], node, config, '', args[7], args[8], limits_of(args, 10), again)
end)

-- pubsub_node: KEYS[1] prefix   ARGV owner, asker (full JID), node
-- answers {'ok', configuration (JSON), number of items} | {why not}
register('pubsub_node', function(keys, args)
  local p, owner, node = keys[1], args[1], args[3]
  local config, why = open_node(p, owner, node, args[2])
  if not config then return { why } end
  return { 'ok', redis.call('HGET', K.nodes(p, owner), node), redis.call('ZCARD', K.node_order(p, owner, node)) }
end)

-- pubsub_nodes: those the asker may read   KEYS[1] prefix   ARGV owner, asker (full JID)
-- answers {node, configuration (JSON), …}
register('pubsub_nodes', function(keys, args)
  local p, owner, answer = keys[1], args[1], {}
  if Blocking.blocks(p, owner, args[2]) then return answer end
  local all, bare = redis.call('HGETALL', K.nodes(p, owner)), bare_of(args[2])
  for i = 1, #all, 2 do
    if not refusal(p, owner, all[i], cjson.decode(all[i + 1]), bare) then
      answer[#answer + 1], answer[#answer + 2] = all[i], all[i + 1]
    end
  end
  return answer
end)

-- From which turn on, and how many, towards the newest or (`back`) the oldest. Nil: no such item (XEP-0059 section 2.3).
local function range_of(order, mode, name, n, count)
  if mode == 'last' then return count - 1, n, true end
  if mode == 'all' then return 0, n, false end
  local turn = redis.call('ZRANK', order, name)
  if not turn then return nil end
  if mode == 'after' then return turn + 1, n, false end
  return turn - 1, n, true
end

-- pubsub_items: KEYS[1] prefix
-- ARGV owner, asker (full JID), node, mode: 'all' (the oldest n) 'last' (the newest n) 'after' | 'before' (an item) or
--      'ids', n, item id, …
-- answers {'ok', number of all items, turn of the first (-1: none), id, <item/>, …} | {'no-such-item'} | {why not};
-- oldest first, and no more than a piece
register('pubsub_items', function(keys, args)
  local p, owner, node, mode = keys[1], args[1], args[3], args[4]
  local config, why = open_node(p, owner, node, args[2])
  if not config then return { why } end
  if not config.persist_items then return { 'persistent-items' } end
  if config.item_expire > 0 then trim(p, owner, node, config, math.huge) end
  local order = K.node_order(p, owner, node)
  local count, found, bytes, first = redis.call('ZCARD', order), {}, 0, -1
  local ids, back = {}, false
  if mode == 'ids' then
    for i = 6, math.min(#args, 5 + PIECE) do ids[#ids + 1] = args[i] end
  else
    local from, n
    from, n, back = range_of(order, mode, args[6], math.min(tonumber(args[5]), PIECE), count)
    if not from then return { 'no-such-item' } end
    if back then
      ids = n > 0 and from >= 0 and redis.call('ZRANGE', order, math.max(0, from - n + 1), from) or {}
    else
      ids = n > 0 and redis.call('ZRANGE', order, from, from + n - 1) or {}
    end
  end
  for i = 1, #ids do
    local id = ids[back and #ids + 1 - i or i]
    local item = read_item(p, owner, node, id)
    if item then
      found[#found + 1], bytes = { id, item }, bytes + #item
      if bytes >= PIECE_BYTES then break end
    end
  end
  local answer = { 'ok', count, first }
  for i = 1, #found do
    local entry = found[back and #found + 1 - i or i]
    if i == 1 then answer[3] = redis.call('ZRANK', order, entry[1]) end
    answer[#answer + 1], answer[#answer + 2] = entry[1], entry[2]
  end
  return answer
end)

-- pubsub_subscribe: KEYS[1] prefix   ARGV owner, asker (full JID), node, JID, most of an account
-- answers {'ok', message type, name, ms, id, <item/>} (the last item, if it is sent to subscribers), {'ok'} | {why not}
register('pubsub_subscribe', function(keys, args)
  local p, owner, node, key = keys[1], args[1], args[3], K.node_subscribers(keys[1], args[1])
  local config, why = open_node(p, owner, node, args[2])
  if not config then return { why } end
  if not config.subscribe then return { 'subscribe' } end
  local field = node .. '\n' .. args[4]
  if redis.call('HEXISTS', key, field) == 1 then return { 'ok' } end
  if redis.call('HLEN', key) >= tonumber(args[5]) then return { 'too-many-subscriptions' } end
  redis.call('HSET', key, field, '1')
  local id = config.send_last_published_item ~= 'never' and redis.call('ZRANGE', K.node_order(p, owner, node), -1, -1)[1]
  if not id then return { 'ok' } end
  local item, ms = read_item(p, owner, node, id)
  return { 'ok', config.notification_type, name_of(owner, node, config, id), string.format('%.0f', ms), id,
    config.deliver_payloads and item or '' }
end)

-- pubsub_unsubscribe: KEYS[1] prefix   ARGV process, serial, owner, asker (full JID), node, JID
-- answers 'ok' | 'not-subscribed' | why not
register('pubsub_unsubscribe', function(keys, args)
  local p, owner, node = keys[1], args[3], args[5]
  if is_repeated(p, args[1], args[2]) then return 'ok' end
  if redis.call('HDEL', K.node_subscribers(p, owner), node .. '\n' .. args[6]) == 0 then
    local config, why = open_node(p, owner, node, args[4])
    return config and 'not-subscribed' or why
  end
  take(p, args[1], args[2])
  return 'ok'
end)

-- pubsub_subscriptions: of the asker   KEYS[1] prefix   ARGV owner, asker (full JID), node ('' = all)
-- answers {'ok', node, JID, …} | {'no-account'}
register('pubsub_subscriptions', function(keys, args)
  local p, owner, bare, answer = keys[1], args[1], bare_of(args[2]), { 'ok' }
  for _, field in ipairs(redis.call('HKEYS', K.node_subscribers(p, owner))) do
    local node, jid = string.match(field, '^(.-)\n(.*)$')
    if bare_of(jid) == bare and (args[3] == '' or args[3] == node) then
      answer[#answer + 1], answer[#answer + 2] = node, jid
    end
  end
  local why = #answer == 1 and unknown(p, owner, args[2])
  return why and { why } or answer
end)

-- pubsub_affiliations: of a node (for its owner), or of an asker (with node '' = all nodes)
-- KEYS[1] prefix   ARGV owner, asker (full JID), node, 'node' | 'own'
-- answers {'ok', node, bare JID, affiliation, …} | {'item-not-found'} | {'no-account'}
register('pubsub_affiliations', function(keys, args)
  local p, owner, bare, only, answer = keys[1], args[1], bare_of(args[2]), args[3], { 'ok' }
  local function add(node, jid, affiliation)
    local n = #answer
    answer[n + 1], answer[n + 2], answer[n + 3] = node, jid, affiliation
  end
  if args[4] == 'node' and redis.call('HEXISTS', K.nodes(p, owner), only) == 0 then return { 'item-not-found' } end
  if bare == owner then
    for _, node in ipairs(redis.call('HKEYS', K.nodes(p, owner))) do
      if only == '' or only == node then add(node, owner, 'owner') end
    end
  end
  local all = redis.call('HGETALL', K.node_affiliations(p, owner))
  for i = 1, #all, 2 do
    local node, jid = string.match(all[i], '^(.-)\n(.*)$')
    if (only == '' or only == node) and (args[4] == 'node' or jid == bare) then add(node, jid, all[i + 1]) end
  end
  local why = #answer == 1 and unknown(p, owner, args[2])
  return why and { why } or answer
end)

-- pubsub_affiliate: KEYS[1] prefix   ARGV owner, node, most of an account, bare JID, 'member' | 'outcast' | 'none', …
-- answers 'ok' | 'item-not-found' | 'too-many' | 'no-account'
register('pubsub_affiliate', function(keys, args)
  local p, owner, node, key = keys[1], args[1], args[2], K.node_affiliations(keys[1], args[1])
  if redis.call('EXISTS', K.account(p, owner)) == 0 then return 'no-account' end
  if redis.call('HEXISTS', K.nodes(p, owner), node) == 0 then return 'item-not-found' end
  local added = 0
  for i = 4, #args, 2 do
    if args[i + 1] ~= 'none' and redis.call('HEXISTS', key, node .. '\n' .. args[i]) == 0 then added = added + 1 end
  end
  if redis.call('HLEN', key) + added > tonumber(args[3]) then return 'too-many' end
  for i = 4, #args, 2 do
    local field = node .. '\n' .. args[i]
    if args[i + 1] == 'none' then redis.call('HDEL', key, field) else redis.call('HSET', key, field, args[i + 1]) end
  end
  return 'ok'
end)

-- Last items, when somebody comes online (XEP-0163 section 4.3.4)

-- `nodes` as a session's field `notify` has them, or as a list. Answers {{name, stanza}, …}: what `asker` (a JID) gets
-- to see of the owner's nodes now, addressed to `to_xml`.
function Pubsub.last_items(p, owner, owner_xml, asker, to_xml, nodes)
  local found, wanted = {}, {}
  if type(nodes) == 'table' then wanted = nodes
  else
    for node in string.gmatch(nodes or '', '[^\n]+') do wanted[#wanted + 1] = node end
  end
  if #wanted == 0 or redis.call('EXISTS', K.nodes(p, owner)) == 0 then return found end
  local bare, bytes = bare_of(asker), 0
  local item_of_asker = bare ~= owner and roster_item(p, owner, bare) or nil
  if bare ~= asker then to_xml = xml(asker) end   -- who asks with a full JID is answered there
  for i, text in ipairs(redis.call('HMGET', K.nodes(p, owner), unpack(wanted))) do
    local node, config = wanted[i], text and cjson.decode(text)
    if config and config.send_last_published_item == 'on_sub_and_presence' and config.deliver_notifications
        and bytes < PIECE_BYTES and not refusal(p, owner, node, config, bare, item_of_asker) then
      if config.item_expire > 0 then trim(p, owner, node, config, math.huge) end
      local id = redis.call('ZRANGE', K.node_order(p, owner, node), -1, -1)[1]
      if id then
        local item, ms = read_item(p, owner, node, id)
        if not config.deliver_payloads then item = string.match(item, '^<[^>]*') .. '/>' end
        bytes = bytes + #item
        found[#found + 1] = { name_of(owner, node, config, id),
          event(owner_xml, to_xml, config.notification_type, 'last-' .. string.format('%.0f', ms),
            items_xml(xml(node), item), ms) }
      end
    end
  end
  return found
end

-- pubsub_interest: what a session's client wants to be told of (XEP-0115), and its own account's last items of what it
-- wants anew. A session that is not available gets none yet.
-- KEYS[1] prefix
-- ARGV process, serial, sid, epoch, nodes, each between line feeds ('' = none), queue limit, quota
-- answers {'ok', nodes it wants anew, sid, node, position of its tail} | {'stale'}
register('pubsub_interest', function(keys, args)
  local p, key = keys[1], K.session(keys[1], args[3])
  local s = own(p, args[3], args[4])
  if not s then return { 'stale' } end
  local v = redis.call('HMGET', key, 'notify', 'user', 'ujid', 'jid')
  local fresh = '\n'
  for node in string.gmatch(args[5], '[^\n]+') do
    if not wants(v[1], node) then fresh = fresh .. node .. '\n' end
  end
  if args[5] == '' then redis.call('HDEL', key, 'notify') else redis.call('HSET', key, 'notify', args[5]) end
  if s.priority == '' then fresh = '\n' end
  if fresh ~= '\n' and not is_repeated(p, args[1], args[2]) then
    take(p, args[1], args[2])
    for _, last in ipairs(Pubsub.last_items(p, v[2], v[3], v[2], v[4], fresh)) do
      put_aside(p, s, 'e', now(), last[1], last[2], limits_of(args, 6))
    end
  end
  return { 'ok', fresh, s.sid, s.node, visible(s) }
end)

-- pubsub_last: the last items that somebody gets to see   KEYS[1] prefix
-- ARGV owner, owner escaped, asker (full JID), asker escaped, nodes, each between line feeds   answers {name, stanza, …}
register('pubsub_last', function(keys, args)
  local p, owner, answer = keys[1], args[1], {}
  if Blocking.blocks(p, owner, args[3]) then return answer end
  for _, last in ipairs(Pubsub.last_items(p, owner, args[2], args[3], args[4], args[5])) do
    answer[#answer + 1], answer[#answer + 2] = last[1], last[2]
  end
  return answer
end)

-- pubsub_take: last items for a session   KEYS[1] prefix
-- ARGV process, serial, sid, epoch, owner, queue limit, quota, name, stanza, …   answers {sid, node, position} | {}
register('pubsub_take', function(keys, args)
  local p = keys[1]
  local s = own(p, args[3], args[4])
  if not s or s.priority == '' then return {} end
  if not is_repeated(p, args[1], args[2]) and not Blocking.blocks(p, s.user, args[5]) then
    for i = 8, #args, 2 do put_aside(p, s, 'e', now(), args[i], args[i + 1], limits_of(args, 6)) end
  end
  take(p, args[1], args[2])
  return { s.sid, s.node, visible(s) }
end)

-- pubsub_sources: a page of the accounts whose presence this one gets   KEYS[1] prefix   ARGV user, cursor
-- answers {cursor, {bare JID, …}}
register('pubsub_sources', function(keys, args)
  local page, found = redis.call('HSCAN', K.roster(keys[1], args[1]), args[2], 'COUNT', PAGE), {}
  for i = 1, #page[2], 2 do
    local subscription = cjson.decode(page[2][i + 1]).s
    if subscription == 'to' or subscription == 'both' then found[#found + 1] = page[2][i] end
  end
  return { page[1], found }
end)

-- pubsub_gone: the account's last available session went, or the first came: what was to last no longer than that goes
-- (pubsub#purge_offline)   KEYS[1] prefix   ARGV user, sid that does not count   answers number of purged nodes
register('pubsub_gone', function(keys, args)
  local p, user, purged = keys[1], args[1], 0
  if redis.call('EXISTS', K.nodes(p, user)) == 0 or #available(p, user, args[2], true) > 0 then return 0 end
  local all = redis.call('HGETALL', K.nodes(p, user))
  for i = 1, #all, 2 do
    if cjson.decode(all[i + 1]).purge_offline and redis.call('EXISTS', K.node_order(p, user, all[i])) == 1 then
      drop_all(p, user, all[i])
      purged = purged + 1
    end
  end
  return purged
end)

local MOST_CAPS = 10000

-- caps_keep: what a verification string stands for (XEP-0115), for all accounts. It has proven itself, but anybody can
-- make more of them: when there are too many, some go.
-- KEYS[1] the key itself   ARGV field, nodes, each between line feeds   answers 'ok'
register('caps_keep', function(keys, args)
  redis.call('HSET', keys[1], args[1], args[2])
  if redis.call('HLEN', keys[1]) > MOST_CAPS then redis.call('HDEL', keys[1], redis.call('HRANDFIELD', keys[1])) end
  return 'ok'
end)

-- The account is being removed.
function Pubsub.erase(p, user)
  for _, node in ipairs(redis.call('HKEYS', K.nodes(p, user))) do
    redis.call('UNLINK', K.node_items(p, user, node), K.node_order(p, user, node))
  end
  redis.call('UNLINK', K.nodes(p, user), K.node_subscribers(p, user), K.node_affiliations(p, user))
end

end
