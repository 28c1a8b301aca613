-- What anybody may ask about an account's nodes (XEP-0060 sections 5 and 6); whether he may is looked at here.
-- Keys: those of 68_pubsub.lua

do

local is_repeated, take, refusal, unknown, open_node, read_item, trim, name_of =
  Pubsub.is_repeated, Pubsub.take, Pubsub.refusal, Pubsub.unknown, Pubsub.open_node, Pubsub.read_item, Pubsub.trim,
  Pubsub.name_of

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

-- From which turn on, how many, and whether towards the oldest. Nil: no such item (XEP-0059 section 2.3).
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
  if redis.call('HEXISTS', key, field) == 0 then   -- else asked again, maybe since the answer was lost
    if redis.call('HLEN', key) >= tonumber(args[5]) then return { 'too-many-subscriptions' } end
    redis.call('HSET', key, field, '1')
  end
  if config.send_last_published_item == 'never' then return { 'ok' } end
  local id = redis.call('ZRANGE', K.node_order(p, owner, node), -1, -1)[1]
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

end
