-- External components (XEP-0114). A component is a mailbox of its own, named by its domain, with no account and at most
-- one session; whatever is addressed to anything at that domain goes into that session's queue. Whoever connects as the
-- component takes the session over, so that what was not taken comes again.
-- Keys: res:{domain}, s:{sid}, q:{sid}, node:{node}, due, o:{origin}:{domain} or j:{process}, and of the sender what
-- `deliver` touches

do

local RESOURCE = 'component'   -- the name of the one session

local function domain_of(jid) return string.match(jid, '([^@]*)$') end

local function session_of(p, domain)
  local sid = redis.call('HGET', K.resources(p, domain), RESOURCE)
  return sid and load(p, sid)
end

local function begin_session(p, domain, sid)
  redis.call('HSET', K.resources(p, domain), RESOURCE, sid)
  redis.call('HSET', K.session(p, sid), 'user', domain, 'resource', RESOURCE, 'jid', domain, 'ujid', domain,
    'epoch', 1, 'max_with_push', 0, 'base', 0, 'h', 0, 'tail', 0, 'acked', 0, 'back', 0, 'inherited', 0, 'aside', '0',
    'priority', '', 'presence', '', 'former_priority', '', 'important', 0, 'important_acked', 0, 'covered', 0,
    'urgent', 0, 'overdue', '0', 'reg', '0', 'pending', 0, 'gen', 0, 'pushed_at', 0, 'last_event', '', 'replaced', '',
    'replaced_node', '')
  return { sid = sid, epoch = '1', acked = 0, tail = 0 }
end

local function answer(s, at, former) return { 'ok', s.sid, tonumber(s.epoch), s.acked, s.tail, at, former } end

-- component: a component has proved who it is; its session is this connection's now
-- KEYS[1] prefix
-- ARGV domain, id for a new session, node, owner, ms for which stanzas wait once the connection is gone, epoch of the
--      live session that may be taken over ('' = none)
-- answers {'ok', sid, epoch, acked, tail, at, former node} | {'conflict', sid, epoch, node}
register('component', function(keys, args)
  local p, domain, node, owner, wait = keys[1], args[1], args[3], args[4], tonumber(args[5])
  local s, former = session_of(p, domain), ''
  if s then
    local v = redis.call('HMGET', K.session(p, s.sid), 'owner', 'bound_at', 'former_node')
    redis.call('HDEL', K.session(p, s.sid), 'kept')   -- a connection that begins was told nothing so far
    if v[1] == owner then return answer(s, tonumber(v[2]), v[3]) end   -- sent again after a lost connection
    if s.state == LIVE and s.epoch ~= args[6] then return { 'conflict', s.sid, tonumber(s.epoch), s.node } end
    former, s.epoch = s.node, tostring(tonumber(s.epoch) + 1)
    if former ~= '' then redis.call('SREM', K.owned(p, former), s.sid) end
    redis.call('ZREM', K.due(p), s.sid)
    redis.call('ZREM', K.lastcalls(p), s.sid)
  else
    s = begin_session(p, domain, args[2])
  end
  local at = now()
  redis.call('SADD', K.owned(p, node), s.sid)
  redis.call('HSET', K.session(p, s.sid), 'epoch', s.epoch, 'state', LIVE, 'node', node, 'owner', owner,
    'smacks', wait > 0 and '1' or '0', 'max', wait, 'deadline', 0, 'bound_at', at, 'serial', 0, 'former_node', former)
  return answer(s, at, former)
end)

-- Everything is queued as a request is: what was not taken when the session ends goes back to where it came from, and
-- when there is no room it is refused. Nothing is stored, archived or dropped in silence.
local function enqueue(p, args)
  local domain = domain_of(args[1])
  local s = session_of(p, domain)
  if not s then return { 'no-account', 0, '', 0 } end
  local origin = string.sub(args[4], 1, 1) == '@' and K.taken(p, args[4]) or K.origin(p, args[4], domain)
  local before = redis.call('SET', origin, args[5], 'PX', args[6], 'GET')
  if before and tonumber(before) >= tonumber(args[5]) then
    set_origin(origin, before, args[6])
    return { 'duplicate', 0, '', 0 }
  end
  local position = put(p, s, 'q', '', now(), '', args[12], limits_of(args, 10))
  if not position then
    set_origin(origin, before, args[6])   -- refused, not taken: sent again it is judged anew
    return { 'full', 0, '', 0 }
  end
  return { 'ok', 0, '', 1, s.sid, s.node, position }
end

-- deliver_component: one stanza for a component, whose mailbox is named by the domain of args[1] alone
-- KEYS, ARGV and answers: those of `deliver`, of whose statuses there are 'ok' 'duplicate' 'full' 'stale'
--      'blocked-by-you', and 'no-account': the component is not connected
register('deliver_component', function(keys, args)
  local p, counts, sid, user = keys[2], args[13] ~= '', args[14], args[15]
  if not p then return enqueue(keys[1], args) end
  local to, v = args[2] == '' and args[1] or args[1] .. '/' .. args[2], nil
  if counts then
    v = redis.call('HMGET', K.session(p, sid), 'epoch', 'state', 'h')
    if v[1] ~= args[13] or v[2] == ENDING then return { 'stale', 0, '', 0 } end
  end
  if Blocking.blocks(p, user, to) then return { 'blocked-by-you', 0, '', 0 } end
  local reply = enqueue(keys[1], args)
  local status = reply[1]
  if status == 'ok' and args[7] == 'm' then keep_sent(p, to, args, reply) end
  if counts and (status == 'ok' or status == 'duplicate') then
    reply[2] = keep_inbound(K.session(p, sid), tonumber(v[3]), tonumber(args[5]))
  end
  return reply
end)

end
