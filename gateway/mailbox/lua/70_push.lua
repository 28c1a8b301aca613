-- Push registrations, and the worker's side of push events.
-- Keys: push:{user} hash, s:{sid} (reg, pending, covered, pushed_at, last_event), acct:{user} (offline_*), ev stream,
--       job:{event}, retry zset

-- A device has a session unless that has ended, though its remainder may not have its fate yet.
local function has_session(p, sid)
  local state = redis.call('HGET', K.session(p, sid), 'state')
  return state and state ~= ENDING
end

-- A session is linked while one of the registrations names it.
local function recount(p, user, sid)
  local linked = '0'
  for _, value in ipairs(redis.call('HVALS', K.registrations(p, user))) do
    if cjson.decode(value).sid == sid then linked = '1' end
  end
  if has_session(p, sid) then redis.call('HSET', K.session(p, sid), 'reg', linked) end
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

-- Registrations an event is for: those of its session, or (offline) those whose device has no session.
local function concerned(p, event, job)
  local found, all = {}, redis.call('HGETALL', K.registrations(p, event.user))
  for i = 1, #all, 2 do
    local sid = cjson.decode(all[i + 1]).sid
    local meant
    if event.only ~= '' then meant = event.only == all[i] and (event.sid == sid or not has_session(p, sid))
    elseif event.sid ~= '' then meant = event.sid == sid
    else meant = not has_session(p, sid) end
    if meant and redis.call('HEXISTS', job, all[i]) == 0 then
      found[#found + 1], found[#found + 2] = all[i], all[i + 1]
    end
  end
  return found
end

-- The newest entry that wakes, for registrations that show a sender.
local function newest(list)
  local entries = redis.call('LRANGE', list, -20, -1)
  for i = #entries, 1, -1 do
    local _, flags = decode(entries[i])
    if has(flags, 'w') then return entries[i] end
  end
  return ''
end

-- Is a push for what waits offline worth sending? As still_true.
local function offline_true(p, event, floor)
  local v = redis.call('HMGET', K.account(p, event.user), 'offline_gen', 'offline_important', 'offline_covered',
    'offline_pushed_at', 'offline_event')
  local waiting, again = tonumber(v[2] or 0), event.only ~= '' or v[5] == event.id
  if event.sid == '' and (v[1] or '0') ~= event.gen then return nil, 'back' end
  if waiting == 0 or not again and waiting <= tonumber(v[3] or 0) then return nil, 'nothing-waiting' end
  local urgent = again or event.class == 'call'
  return waiting, newest(K.offline(p, event.user)), urgent and 0 or tonumber(v[4] or 0) + floor - now()
end

-- Is the push still worth sending? Answers count, newest entry and ms to wait for the floor; or nil and why not.
-- What another event covered since needs no push of its own, but the last call repeats what was pushed before.
local function still_true(p, event, floor)
  if event.sid == '' then return offline_true(p, event, floor) end
  local s = load(p, event.sid)
  if not s or s.state == ENDING then
    -- What a failed push was for may wait offline by now, and nothing else will come to wake this device.
    if event.only ~= '' then return offline_true(p, event, floor) end
    return nil, 'session-gone'
  end
  if tostring(s.gen) ~= event.gen then return nil, 'back' end
  if is_consuming(s) then return nil, 'consuming' end
  local v = redis.call('HMGET', K.session(p, s.sid), 'pushed_at', 'last_event')
  local waiting, again = s.important - s.important_acked, event.only ~= '' or v[2] == event.id
  local repeats = again or event.reason == 'last-call'
  if waiting <= 0 or not repeats and not has_uncovered(s) then return nil, 'nothing-waiting' end
  local urgent = repeats or event.class == 'call'
  return waiting, newest(K.queue(p, s.sid)), urgent and 0 or tonumber(v[1]) + floor - now()
end

-- The event is claimed: what it covers needs no other event, what comes later does.
local function mark_claimed(p, event)
  local key, at = K.account(p, event.user), now()
  if event.sid == '' then
    redis.call('HSET', key, 'offline_pending', 0, 'offline_covered', redis.call('HGET', key, 'offline_important'),
      'offline_pushed_at', at, 'offline_event', event.id)
  else
    key = K.session(p, event.sid)
    redis.call('HSET', key, 'pending', 0, 'covered', redis.call('HGET', key, 'important'), 'pushed_at', at,
      'last_event', event.id)
  end
end

local function forget(p, stream_id, job, group)
  redis.call('XACK', K.events(p), group, stream_id)
  redis.call('XDEL', K.events(p), stream_id)
  if job ~= '' then redis.call('DEL', job) end
end

local function clear_pending(p, event)
  local key, field = K.session(p, event.sid), 'pending'
  if event.sid == '' then key, field = K.account(p, event.user), 'offline_pending' end
  if redis.call('EXISTS', key) == 1 then redis.call('HSET', key, field, 0) end
end

-- claim: is it still true? Then the attempt is recorded.
-- KEYS[1] prefix
-- ARGV stream id, event id (the first one's, when this is a retry), user, sid, reason, gen, class, registration ('' =
--      all), floor ms, group, when it was raised (ms)
-- answers {'send', count, newest entry, field, registration, …} | {'later', ms} | {'cancelled', reason}
-- 'later' and 'cancelled' take the event off the stream in the same step.
register('claim', function(keys, args)
  local p, group, only = keys[1], args[10], args[8]
  local event = { id = args[2], user = args[3], sid = args[4], reason = args[5], gen = args[6], class = args[7],
    only = only }
  local job = K.job(p, event.id)
  local count, entry, wait = still_true(p, event, only == '' and tonumber(args[9]) or 0)
  if not count then
    if only == '' and entry ~= 'back' then clear_pending(p, event) end
    forget(p, args[1], only == '' and job or '', group)
    return { 'cancelled', entry }
  end
  if wait > 0 then   -- one trailing push: it stays pending, so what comes meanwhile adds no event
    redis.call('ZADD', K.retries(p), now() + wait, cjson.encode({ user = event.user, sid = event.sid,
      reason = event.reason, gen = event.gen, class = event.class, at = args[11], id = event.id }))
    forget(p, args[1], job, group)
    return { 'later', wait }
  end
  local found = concerned(p, event, job)
  if only == '' then mark_claimed(p, event) end
  if #found == 0 then
    forget(p, args[1], only == '' and job or '', group)
    return { 'cancelled', 'no-registration' }
  end
  return { 'send', count, entry, unpack(found) }
end)

-- pushed: the outcome for one registration. A dead token goes only if it is still the same and older than the
-- provider's word.
-- KEYS[1] prefix
-- ARGV event id, user, field, outcome, token that failed ('' = keep the registration), provider's timestamp ms (0 =
--      none)
-- answers 'removed' | 'kept'
register('pushed', function(keys, args)
  local p, user, key = keys[1], args[2], K.registrations(keys[1], args[2])
  local job = K.job(p, args[1])
  redis.call('HSET', job, args[3], args[4])
  redis.call('EXPIRE', job, 86400)
  if args[5] == '' then return 'kept' end
  local value = redis.call('HGET', key, args[3])
  local registration = value and cjson.decode(value)
  if not registration or registration.token ~= args[5] then return 'kept' end
  local said = tonumber(args[6])
  if said > 0 and registration.at > said then return 'kept' end
  redis.call('HDEL', key, args[3])
  recount(p, user, registration.sid)
  return 'removed'
end)

-- retry: one registration's push is due again later   KEYS[1] prefix   ARGV ms from now, event (JSON)   answers 'ok'
register('retry', function(keys, args)
  redis.call('ZADD', K.retries(keys[1]), now() + tonumber(args[1]), args[2])
  return 'ok'
end)

-- done: every registration of this event has its outcome   KEYS[1] prefix
-- ARGV stream id, event id ('' = keep the job), group
register('done', function(keys, args)
  local p = keys[1]
  forget(p, args[1], args[2] ~= '' and K.job(p, args[2]) or '', args[3])
  return 'ok'
end)
