-- What an account's owner does with its nodes (XEP-0060 sections 7 and 8), and telling others of it.
-- Keys: those of 68_pubsub.lua

do

local is_repeated, take, config_of, unknown, drop_item, drop_all, room_of, trim, store_item, event, items_xml, tell,
  audience, announce, NOBODY =
  Pubsub.is_repeated, Pubsub.take, Pubsub.config_of, Pubsub.unknown, Pubsub.drop_item, Pubsub.drop_all,
  Pubsub.room_of, Pubsub.trim, Pubsub.store_item, Pubsub.event, Pubsub.items_xml, Pubsub.tell, Pubsub.audience,
  Pubsub.announce, Pubsub.NOBODY

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
  if again then return answer end   -- what is there now was published since
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
  if not again then
    for name, value in pairs(cjson.decode(args[6])) do config[name] = value end
    redis.call('HSET', K.nodes(p, owner), node, cjson.encode(config))
    take(p, args[1], args[2])
    trim(p, owner, node, config, tonumber(args[9]))
  end
  if args[7] == '' or not config.notify_config then return NOBODY end
  return announce(p, owner, args[4], node, config, '', args[7], args[8], limits_of(args, 10), again)
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

end
