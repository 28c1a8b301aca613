-- What sessions want to be told of, and the last items when they come online (XEP-0163 section 4.3.4)
-- Keys: those of 68_pubsub.lua; caps hash, which belongs to no bucket

do

local is_repeated, take, roster_item, refusal, drop_all, read_item, trim, event, xml, items_xml, name_of, wants =
  Pubsub.is_repeated, Pubsub.take, Pubsub.roster_item, Pubsub.refusal, Pubsub.drop_all, Pubsub.read_item, Pubsub.trim,
  Pubsub.event, Pubsub.xml, Pubsub.items_xml, Pubsub.name_of, Pubsub.wants

local PAGE = 500           -- contacts looked at in one step
local MOST_CAPS = 10000

-- `nodes` as a session's field `notify` has them, or as a list. Answers {{name, stanza}, …}: what `asker` (a JID)
-- gets to see of the owner's nodes now, addressed to `to_xml`.
function Pubsub.last_items(p, owner, owner_xml, asker, to_xml, nodes)
  local found, wanted = {}, {}
  if type(nodes) == 'table' then wanted = nodes
  else
    for node in string.gmatch(nodes or '', '[^\n]+') do wanted[#wanted + 1] = node end
  end
  if #wanted == 0 or redis.call('EXISTS', K.nodes(p, owner)) == 0 then return found end
  if redis.call('EXISTS', K.account(p, owner)) == 0 then return found end   -- disabled
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
  local again = is_repeated(p, args[1], args[2])
  if again then fresh = args[5] ~= '' and args[5] or '\n' end   -- nobody has been asked for his last items yet
  if s.priority == '' then fresh = '\n' end
  if fresh ~= '\n' and not again then
    take(p, args[1], args[2])
    for _, last in ipairs(Pubsub.last_items(p, v[2], v[3], v[2], v[4], fresh)) do
      put_aside(p, s, 'e', now(), last[1], last[2], limits_of(args, 6))
    end
  end
  return { 'ok', fresh, s.sid, s.node, visible(s) }
end)

-- pubsub_last: the last items that somebody gets to see   KEYS[1] prefix
-- ARGV owner, owner escaped, asker (full JID), asker escaped, nodes, each between line feeds
-- answers {name, stanza, …}
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

-- pubsub_eager: an account's available sessions that want nodes   KEYS[1] prefix   ARGV user
-- answers {sid, epoch, resource, nodes, each between line feeds, …}
register('pubsub_eager', function(keys, args)
  local p, answer = keys[1], {}
  for _, s in ipairs(available(p, args[1], '', true)) do
    local v = redis.call('HMGET', K.session(p, s.sid), 'resource', 'notify')
    if v[2] then
      local n = #answer
      answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = s.sid, s.epoch, v[1], v[2]
    end
  end
  return answer
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
