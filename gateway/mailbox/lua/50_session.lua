-- A session's life: bind, hibernate, resume. Its end is in 60_end.lua, its presence in 65_presence.lua.
-- Keys: acct:{user}, res:{user}, s:{sid}, q:{sid}, back:{sid}, pres:{sid}, push:{user}, due, calls, node:{node},
-- old:{user}

-- A device that binds its resource anew keeps its registrations, though the client may not enable them again.
local function relink(p, user, resource, sid)
  local key = K.registrations(p, user)
  local all, linked = redis.call('HGETALL', key), '0'
  for i = 1, #all, 2 do
    local registration = cjson.decode(all[i + 1])
    if registration.resource == resource then
      registration.sid = sid
      redis.call('HSET', key, all[i], cjson.encode(registration))
      linked = '1'
    end
  end
  return linked
end

-- The new session of a resource inherits what the old one did not acknowledge; it comes again after its first presence.
local function inherit(p, old, sid)
  local back = join(K.queue(p, old.sid), K.backlog(p, old.sid), K.backlog(p, sid))
  local base = old.important_acked
  return back, old.important - base, math.max(0, old.covered - base), math.max(0, old.urgent - base)
end

local REACH = ' reach'   -- behind an ended session's id: how far it went, which its owner may still ask (92_verify.lua)

-- The session's id can never resume again; its last count is kept for a late <resume/> (XEP-0198 section 5, <failed
-- h='…'/>).
local function retire(p, s, max_old)
  local v = redis.call('HMGET', K.session(p, s.sid), 'resource', 'h', 'smacks', 'kept')
  if redis.call('HGET', K.resources(p, s.user), v[1]) == s.sid then redis.call('HDEL', K.resources(p, s.user), v[1]) end
  if s.node ~= '' then redis.call('SREM', K.owned(p, s.node), s.sid) end
  redis.call('ZREM', K.due(p), s.sid)
  redis.call('ZREM', K.lastcalls(p), s.sid)
  redis.call('DEL', K.presence(p, s.sid))
  if v[3] == '1' and max_old > 0 then
    local old, oldest = K.old(p, s.user), K.oldest(p, s.user)
    redis.call('HSET', old, s.sid, v[2], s.sid .. REACH, s.epoch .. ' ' .. (v[4] or s.tail))
    redis.call('ZADD', oldest, now(), s.sid)
    for _, gone in ipairs(redis.call('ZRANGE', oldest, 0, -max_old - 1)) do
      redis.call('HDEL', old, gone, gone .. REACH)
      redis.call('ZREM', oldest, gone)
    end
    redis.call('EXPIRE', old, 604800)
    redis.call('EXPIRE', oldest, 604800)
  end
end

-- bind: claim a full JID; a session of the same resource is replaced and what it held moves on
-- KEYS[1] prefix
-- ARGV user, resource, new sid, node, owner, full JID escaped, bare JID escaped, most sessions, old h kept, queue
--      limit, quota
-- answers {'ok', bound at, replaced sid, its node, sid, node, position, …} | {'no-account'} | {'too-many'}
register('bind', function(keys, args)
  local p, user, resource, sid, node = keys[1], args[1], args[2], args[3], args[4]
  local key = K.session(p, sid)
  local known = redis.call('HMGET', key, 'bound_at', 'replaced', 'replaced_node')
  if known[1] then   -- the same request, sent again after a lost connection: its client was told nothing so far
    redis.call('HDEL', key, 'kept')
    return { 'ok', tonumber(known[1]), known[2], known[3] }
  end
  if redis.call('EXISTS', K.account(p, user)) == 0 then return { 'no-account' } end

  local old_sid = redis.call('HGET', K.resources(p, user), resource)
  local old = old_sid and load(p, old_sid)
  if not old and redis.call('HLEN', K.resources(p, user)) >= tonumber(args[8]) then return { 'too-many' } end
  local back, important, covered, urgent, copied, placed = 0, 0, 0, 0, nil, {}
  if old then
    copied = redis.call('HGET', K.session(p, old.sid), 'copied')
    Presence.unavailable(p, old, limits_of(args, 10), placed)
    back, important, covered, urgent = inherit(p, old, sid)
    retire(p, old, tonumber(args[9]))
    redis.call('DEL', K.session(p, old.sid))
  end
  local at = now()
  redis.call('HSET', K.resources(p, user), resource, sid)
  redis.call('SADD', K.owned(p, node), sid)
  -- What `load` reads comes first, and is there from the beginning: Redis looks through a small hash from its head, and
  -- through all of it for what it does not have.
  redis.call('HSET', key, 'state', LIVE, 'node', node, 'tail', 0, 'acked', 0, 'back', back, 'overdue', '0',
    'priority', '', 'important', important, 'pending', 0, 'aside', '0', 'inactive', '0', 'epoch', 1,
    'presence', '', 'faded', '',
    'user', user, 'resource', resource, 'jid', args[6], 'ujid', args[7], 'h', 0, 'serial', 0,
    'owner', args[5], 'smacks', '0', 'max', 0, 'max_with_push', 0, 'base', 0, 'bound_at', at, 'deadline', 0,
    'inherited', back, 'former_priority', '', 'important_acked', 0, 'covered', covered, 'urgent', urgent,
    'reg', redis.call('HLEN', K.registrations(p, user)) > 0 and relink(p, user, resource, sid) or '0',
    'gen', 0, 'pushed_at', 0, 'last_event', '',
    'replaced', old and old.sid or '', 'replaced_node', old and old.node or '', 'former_node', '')
  if copied then redis.call('HSET', key, 'copied', copied) end   -- the device is the same
  if redis.call('HGET', K.account(p, user), 'push_idle') then Push.count_idle(p, user) end
  local answer = { 'ok', at, old and old.sid or '', old and old.node or '' }
  for _, value in ipairs(placed) do answer[#answer + 1] = value end
  return answer
end)

-- enable: XEP-0198; counts start here in both directions
-- KEYS[1] prefix
-- ARGV sid, epoch, resumable ('1' or '0'), max ms, most ms for a device with push ('0' = the client asked for `max`
--      itself), base: the position after which the client counts; what is before it the socket took; queue limit, quota
-- answers {'ok', max ms} | {'stale'}
register('enable', function(keys, args)
  local p = keys[1]
  local s = own(p, args[1], args[2])
  if not s then return { 'stale' } end
  local base = math.min(tonumber(args[6]), s.tail)
  local max, with_push = tonumber(args[4]), tonumber(args[5])
  if s.reg and with_push > max then max = with_push end
  redis.call('HSET', K.session(p, s.sid), 'smacks', args[3], 'max', max, 'max_with_push', with_push, 'base', base)
  if base > s.acked then
    acknowledge(p, s, base)
    catch_up(p, s, limits_of(args, 7))
  end
  return { 'ok', max }
end)

-- The socket is gone, the session is kept until its deadline. `sent`: as far as it was written; `grace`: see Push.asleep.
local function put_to_sleep(p, s, lead, sent, grace)
  local key, at, shown = K.session(p, s.sid), now(), visible(s)
  local max = tonumber(redis.call('HGET', key, 'max'))
  redis.call('SREM', K.owned(p, s.node), s.sid)
  redis.call('HSET', key, 'state', ASLEEP, 'node', '', 'owner', '', 'deadline', at + max, 'inactive', '0')
  redis.call('ZADD', K.due(p), at + max, s.sid)
  s.state, s.node, s.inactive = ASLEEP, '', false
  if s.reg then redis.call('ZADD', K.lastcalls(p), at + max - math.min(lead, max / 2), s.sid) end
  Presence.sleep(p, s)
  Push.asleep(p, s, s.back == 0 and sent >= shown, grace)
  return at + max
end

-- hibernate: only what was enabled with resumption
-- KEYS[1] prefix   ARGV sid, epoch, last call's lead ms, position up to which the socket was written to, ms for which
--      the push for that can wait, inbound count that the client was told
-- answers {'ok', deadline} | {'stale'} | {'not-resumable'}
register('hibernate', function(keys, args)
  local p = keys[1]
  local s = own(p, args[1], args[2])
  if not s then return { 'stale' } end
  local v = redis.call('HMGET', K.session(p, s.sid), 'smacks', 'deadline', 'h')
  if v[1] ~= '1' then return { 'not-resumable' } end
  if s.state == ASLEEP then return { 'ok', tonumber(v[2]) } end
  local lost = tonumber(args[6] or 0) - tonumber(v[3])
  if lost > 0 then   -- Redis was another when the client was told: what it sent since cannot be counted on from here
    redis.call('HSET', K.session(p, s.sid), 'kept', -1)
    redis.call('HINCRBY', K.losses(p), 'acknowledged', lost)
  end
  return { 'ok', put_to_sleep(p, s, tonumber(args[3]), tonumber(args[4]), tonumber(args[5])) }
end)

-- peek: the epoch on which a resume may build, so that one that is answered late takes nothing from another
-- KEYS[1] prefix   ARGV sid   answers epoch, or false
register('peek', function(keys, args)
  local v = redis.call('HMGET', K.session(keys[1], args[1]), 'epoch', 'state', 'smacks')
  return v[2] and v[2] ~= ENDING and v[3] == '1' and v[1]
end)

-- resume: take the session over, on any node
-- KEYS[1] prefix
-- ARGV user, sid, epoch seen by peek, h as on the wire, node, owner, queue limit, quota
-- answers {'ok', epoch, inbound h, acked, tail, former node, resource, priority, at, max ms, base}
--       | {'gone', h} | {'unknown'} | {'too-high', tail, inbound h} | {'lost'}
register('resume', function(keys, args)
  local p, user, sid, limits = keys[1], args[1], args[2], limits_of(args, 7)
  local s = load(p, sid)
  if not s or s.state == ENDING or s.user ~= user then
    local h = redis.call('HGET', K.old(p, user), sid)
    if not h and s and s.user == user then h = redis.call('HGET', K.session(p, sid), 'h') end
    return h and { 'gone', tonumber(h) } or { 'unknown' }
  end
  local key = K.session(p, sid)
  local v = redis.call('HMGET', key, 'smacks', 'h', 'owner', 'resource', 'bound_at', 'max', 'base', 'former_node', 'kept')
  local function answer(former)
    return { 'ok', tonumber(s.epoch), tonumber(v[2]), s.acked, s.tail, former, v[4], s.priority, tonumber(v[5]),
      tonumber(v[6]), tonumber(v[7]) }
  end
  if v[1] ~= '1' then return { 'unknown' } end
  if v[3] == args[6] then   -- the same request, sent again after a lost connection: its client was told nothing so far
    redis.call('HDEL', key, 'kept')
    return answer(v[8])
  end
  if s.epoch ~= args[3] and s.state ~= ASLEEP then return { 'lost' } end   -- a dead node's was only reaped meanwhile
  local base = tonumber(v[7])
  local h = s.acked + (tonumber(args[4]) + base - s.acked) % 4294967296
  if v[9] then
    -- Nobody has verified it since Redis was another (92_verify.lua): beyond `kept`, positions are not what they were.
    if h > tonumber(v[9]) then return { 'gone', tonumber(v[2]) } end
    redis.call('HDEL', key, 'kept')
  end
  if h > s.tail then return { 'too-high', s.tail - base, tonumber(v[2]) } end

  local former = s.node
  if former ~= '' then redis.call('SREM', K.owned(p, former), sid) end
  redis.call('SADD', K.owned(p, args[5]), sid)
  redis.call('ZREM', K.due(p), sid)
  redis.call('ZREM', K.lastcalls(p), sid)
  s.epoch, s.state, s.node = tostring(tonumber(s.epoch) + 1), LIVE, args[5]
  s.inactive = false   -- XEP-0352 section 5: every stream begins active
  v[5] = now()
  redis.call('HSET', key, 'epoch', s.epoch, 'state', LIVE, 'node', s.node, 'owner', args[6], 'deadline', 0,
    'bound_at', v[5], 'serial', 0, 'former_node', former, 'inactive', '0')
  if h > s.acked then acknowledge(p, s, h) end
  -- what was pushed for but not acknowledged counts as new again: should the link break once more, the phone is woken
  -- again
  s.covered = s.important_acked
  redis.call('HSET', key, 'covered', s.covered)
  cancel_events(p, s)
  catch_up(p, s, limits)
  Presence.woken(p, s)
  return answer(former)
end)
