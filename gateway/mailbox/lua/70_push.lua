-- Push registrations. What workers do with events is in 70_push_claim.lua and 70_push_outcome.lua.
-- Keys: push:{user} hash, s:{sid} (reg, pending, covered, pushed_at, last_event), acct:{user} (offline_*), ev stream,
--       job:{event}, retry zset

-- A device has a session unless that has ended, though its remainder may not have its fate yet.
local function has_session(p, sid)
  local state = redis.call('HGET', K.session(p, sid), 'state')
  return state and state ~= ENDING
end

-- A device takes what is stored offline when it says that it is available. One that fell asleep before it said so has to
-- be woken for that as if it had no session.
function Push.is_reached(p, sid)
  local v = redis.call('HMGET', K.session(p, sid), 'state', 'priority')
  return v[1] and v[1] ~= ENDING and not (v[1] == ASLEEP and v[2] == '')
end

-- How many registrations belong to devices without a session, which are told of what only the archive keeps for them.
function Push.count_idle(p, user)
  local idle, account = 0, K.account(p, user)
  for _, value in ipairs(redis.call('HVALS', K.registrations(p, user))) do
    if not Push.is_reached(p, cjson.decode(value).sid) then idle = idle + 1 end
  end
  if redis.call('EXISTS', account) == 0 then return end   -- what comes late must not bring an account back
  redis.call('HSET', account, 'push_idle', idle)
  local v = idle == 0 and redis.call('HMGET', account, 'idle_important', 'offline_covered') or {}
  if v[1] then   -- what covered this covers nothing that is stored offline later
    redis.call('HDEL', account, 'idle_important', 'idle_newest')
    redis.call('HSET', account, 'offline_covered', math.max(0, tonumber(v[2] or 0) - tonumber(v[1])))
  end
end

-- Is there a device without a session beside the one whose session this was?
function Push.has_others_idle(p, s)
  for _, value in ipairs(redis.call('HVALS', K.registrations(p, s.user))) do
    local sid = cjson.decode(value).sid
    if sid ~= s.sid and not Push.is_reached(p, sid) then return true end
  end
  return false
end

-- A session is linked while one of the registrations names it.
local function recount(p, user, sid)
  local linked = '0'
  for _, value in ipairs(redis.call('HVALS', K.registrations(p, user))) do
    if cjson.decode(value).sid == sid then linked = '1' end
  end
  if has_session(p, sid) then redis.call('HSET', K.session(p, sid), 'reg', linked) end
  Push.count_idle(p, user)
end

local function forget_oldest(p, user, except)
  local key = K.registrations(p, user)
  local all, oldest, at, sid = redis.call('HGETALL', key), nil, math.huge, nil
  for i = 1, #all, 2 do
    local other = cjson.decode(all[i + 1])
    if all[i] ~= except and other.at < at then oldest, at, sid = all[i], other.at, other.sid end
  end
  redis.call('HDEL', key, oldest)
  recount(p, user, sid)
end

-- register: one registration per (service JID, node); the oldest goes when there are too many
-- KEYS[1] prefix   ARGV user, field, registration (JSON), sid, epoch, most   answers 'ok' | 'stale'
register('register', function(keys, args)
  local p, user, key = keys[1], args[1], K.registrations(keys[1], args[1])
  local s = own(p, args[4], args[5])
  if not s then return 'stale' end
  local registration, before = cjson.decode(args[3]), redis.call('HGET', key, args[2])
  local former = before and cjson.decode(before).sid
  registration.at = now()
  redis.call('HSET', key, args[2], cjson.encode(registration))
  while redis.call('HLEN', key) > math.max(1, tonumber(args[6])) do forget_oldest(p, user, args[2]) end
  if former and former ~= s.sid then recount(p, user, former) end
  local mine = K.session(p, s.sid)
  local v = redis.call('HMGET', mine, 'max', 'max_with_push')
  redis.call('HSET', mine, 'reg', '1', 'max', math.max(tonumber(v[1]), tonumber(v[2])))
  s.reg = true
  Push.count_idle(p, user)
  wake(p, s, s.state == ASLEEP and 'hibernation' or 'ack-delayed')
  return 'ok'
end)

-- unregister: of one service, one node of it or ('') all   KEYS[1] prefix   ARGV user, service JID, node
-- answers how many went
register('unregister', function(keys, args)
  local p, user, key, gone = keys[1], args[1], K.registrations(keys[1], args[1]), 0
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local registration = cjson.decode(all[i + 1])
    if registration.service == args[2] and (args[3] == '' or registration.node == args[3]) then
      gone = gone + redis.call('HDEL', key, all[i])
      recount(p, user, registration.sid)
    end
  end
  return gone
end)

-- A device, where it must not be told which: the digest of its registration's name.
function Push.device(user, field) return string.sub(redis.sha1hex(user .. '\n' .. field), 1, 12) end

-- What is said of a push, and of those there were none: the newest of each account. Neither who nor what is in it; a
-- device is the digest of its registration's name. `length` entries are kept, `days` long.
function Push.note(p, user, length, days, event, what, why, ...)
  if tonumber(length) == 0 then return end
  if redis.call('EXISTS', K.account(p, user)) == 0 then return end   -- removed meanwhile
  local key = K.trace(p, redis.sha1hex(user))
  redis.call('XADD', key, 'MAXLEN', length, '*', 'event', event, 'what', what, 'why', why, ...)
  redis.call('EXPIRE', key, tonumber(days) * 86400)
end

-- Which parts of the work on an event have no end: 'begun' by a worker, or 'waiting' for a retry; nil if none. Then only
-- who comes late will ask for what is kept of it.
function Push.open_parts(job)
  local found = nil
  for _, field in ipairs(redis.call('HKEYS', job)) do
    local device = string.match(field, '^~(.*)$')
    if device and redis.call('HEXISTS', job, device) == 0 then
      if redis.call('HEXISTS', job, '>' .. device) == 0 then return 'begun' end
      found = 'waiting'
    end
  end
  if not found then redis.call('EXPIRE', job, 86400) end
  return found
end

-- The event leaves its stream, and with it what was kept of its work: later, if some of it was left for a retry, and a
-- worker that was slow may yet come with what another has brought to its end.
function Push.forget(p, stream_id, job, group)
  redis.call('XACK', K.events(p), group, stream_id)
  redis.call('XDEL', K.events(p), stream_id)
  if job == '' then return end
  local is_open, was_left = false, false
  for _, field in ipairs(redis.call('HKEYS', job)) do
    local device = string.match(field, '^>(.*)$')
    was_left = was_left or device ~= nil
    is_open = is_open or device and redis.call('HEXISTS', job, device) == 0
  end
  if not was_left then redis.call('DEL', job)
  elseif not is_open then redis.call('EXPIRE', job, 86400) end
end
