-- Push registrations, and the worker's side of push events.
-- Keys: push:{user} hash, s:{sid} (reg, pending, covered, pushed_at, last_event), acct:{user} (offline_*), ev stream,
--       job:{event}, retry zset

-- A device has a session unless that has ended, though its remainder may not have its fate yet.
local function has_session(p, sid)
  local state = redis.call('HGET', K.session(p, sid), 'state')
  return state and state ~= ENDING
end

-- How many registrations belong to devices without a session, which are told of what only the archive keeps for them.
function Push.count_idle(p, user)
  local idle, account = 0, K.account(p, user)
  for _, value in ipairs(redis.call('HVALS', K.registrations(p, user))) do
    if not has_session(p, cjson.decode(value).sid) then idle = idle + 1 end
  end
  if redis.call('EXISTS', account) == 0 then return end   -- what comes late must not bring an account back
  redis.call('HSET', account, 'push_idle', idle)
  if idle == 0 then redis.call('HDEL', account, 'idle_important') end
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

-- What is said of a push, and of those there were none: the newest of each account. Neither who nor what is in it; a
-- device is the digest of its registration's name. `length` entries are kept, `days` long.
local function device_of(user, field) return string.sub(redis.sha1hex(user .. '\n' .. field), 1, 12) end

local function note(p, user, length, days, event, what, why, ...)
  if tonumber(length) == 0 then return end
  local key = K.trace(p, redis.sha1hex(user))
  redis.call('XADD', key, 'MAXLEN', length, '*', 'event', event, 'what', what, 'why', why, ...)
  redis.call('EXPIRE', key, tonumber(days) * 86400)
end

-- Registrations an event is for: of a call that ended those that rang, of a session those linked to it, else those
-- whose device has no session. Not those that have an outcome, or wait for a retry: another worker had taken the event,
-- and died.
local function concerned(p, event, job)
  local found, all, rang = {}, redis.call('HGETALL', K.registrations(p, event.user)), {}
  for _, field in ipairs(event.rang ~= '' and cjson.decode(event.rang) or {}) do rang[field] = true end
  for i = 1, #all, 2 do
    local sid, field = cjson.decode(all[i + 1]).sid, all[i]
    local meant
    if event.class == 'call-ended' then
      local s = rang[field] and (event.only == '' or event.only == field) and load(p, sid)
      meant = rang[field] and (event.only == '' or event.only == field) and not (s and is_consuming(s))
    elseif event.only ~= '' then meant = event.only == field and (event.sid == sid or not has_session(p, sid))
    elseif event.sid ~= '' then meant = event.sid == sid
    else meant = not has_session(p, sid) end
    if meant and redis.call('HEXISTS', job, field) == 0
        and (event.only ~= '' or redis.call('HEXISTS', job, '>' .. field) == 0) then
      found[#found + 1], found[#found + 2] = field, all[i + 1]
    end
  end
  return found
end

local SHOWN = 20   -- of the messages that wait, so many of the newest are looked at

-- The newest entries that wake, oldest first.
local function newest(list)
  local found, entries = {}, redis.call('LRANGE', list, -3 * SHOWN, -1)
  for i = #entries, 1, -1 do
    local _, flags = decode(entries[i])
    if has(flags, 'w') then table.insert(found, 1, entries[i]) end
    if #found == SHOWN then break end
  end
  return found
end

-- They were shown on another device since: nothing is left that a phone would have to be woken for.
local function is_read_elsewhere(p, user, entries)
  if #entries == 0 or not Unread.total or Unread.total(p, user) ~= 0 then return false end
  local _, _, stamp = decode(entries[#entries])
  return tonumber(string.match(stamp, '^%d+')) <= Unread.read_at(p, user)
end

-- Is a push for what waits for devices without a session worth sending? As still_true.
local function offline_true(p, event, floor)
  local v = redis.call('HMGET', K.account(p, event.user), 'offline_gen', 'offline_important', 'offline_covered',
    'offline_pushed_at', 'offline_event', 'idle_important')
  local waiting, again = tonumber(v[2] or 0) + tonumber(v[6] or 0), event.only ~= '' or v[5] == event.id
  if event.sid == '' and (v[1] or '0') ~= event.gen then return nil, 'back' end
  if waiting == 0 or not again and waiting <= tonumber(v[3] or 0) then return nil, 'nothing-waiting' end
  local urgent = again or event.class == 'call'
  return waiting, newest(K.offline(p, event.user)), urgent and 0 or tonumber(v[4] or 0) + floor - now()
end

-- Is the push still worth sending? Answers count, newest entries and ms to wait for the floor; or nil and why not.
-- What another event covered since needs no push of its own, but the last call repeats what was pushed before.
local function still_true(p, event, floor)
  if event.class == 'call-ended' then return 0, {}, 0 end
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
  if event.class == 'wake' then
    if not again and tonumber(v[1]) >= event.at then return nil, 'pushed-meanwhile' end
    return waiting, {}, 0
  end
  local repeats = again or event.reason == 'last-call'
  if waiting <= 0 or not repeats and not has_uncovered(s) then return nil, 'nothing-waiting' end
  local urgent = repeats or event.class == 'call'
  return waiting, newest(s.back > 0 and K.backlog(p, s.sid) or K.queue(p, s.sid)),
    urgent and 0 or tonumber(v[1]) + floor - now()
end

-- Somebody sits at another device of the account, and may read it there.
local function is_attended(p, user)
  for _, sid in ipairs(redis.call('HVALS', K.resources(p, user))) do
    local v = redis.call('HMGET', K.session(p, sid), 'state', 'inactive', 'overdue', 'reg', 'priority')
    if v[1] == LIVE and v[2] ~= '1' and v[3] == '0' and v[4] == '0' and v[5] ~= '' then return true end
  end
  return false
end

-- The event is claimed: what it covers needs no other event, what comes later does.
local function mark_claimed(p, event)
  local key, at = K.account(p, event.user), now()
  if event.class == 'call-ended' then return end
  if event.class == 'wake' then
    redis.call('HSET', K.session(p, event.sid), 'last_event', event.id)
  elseif event.sid == '' then
    local v = redis.call('HMGET', key, 'offline_important', 'idle_important')
    redis.call('HSET', key, 'offline_pending', 0, 'offline_covered', tonumber(v[1] or 0) + tonumber(v[2] or 0),
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
  if event.class ~= 'message' and event.class ~= 'call' then return end
  local key, field = K.session(p, event.sid), 'pending'
  if event.sid == '' then key, field = K.account(p, event.user), 'offline_pending' end
  if redis.call('EXISTS', key) == 1 then redis.call('HSET', key, field, 0) end
end

-- The attempt is recorded before it is made: one that is recorded twice may have been made twice, by a worker that died
-- in between. (A name with ~ in front counts attempts, one with > waits for a retry; the name alone is the outcome.)
local function begin(p, event, job, found, attempt)
  for i = 1, #found, 2 do
    local tries = redis.call('HINCRBY', job, '~' .. found[i], 1)
    if tries == 1 then Push.count(p, 'queued') end
    if tries > attempt + 1 then
      Push.count(p, 'repeated')
      redis.call('HSET', job, '~' .. found[i], attempt + 1)
    end
  end
  if #found > 0 then redis.call('EXPIRE', job, 2592000) end
end

-- Who wrote what waits, as the account's roster knows them.
local function with_subscriptions(p, user, entries)
  local shown, known, senders = {}, {}, {}
  for _, entry in ipairs(entries) do
    local _, _, _, _, at = decode(entry)
    local sender = bare_of(string.match(entry, "^<[^>]-%sfrom=['\"]([^'\"]+)", at) or '')
    if known[sender] == nil then
      known[sender] = sender ~= '' and Roster.subscription(p, user, sender) or 'none'
      senders[#senders + 1] = sender
    end
    shown[#shown + 1], shown[#shown + 2] = entry, known[sender]
  end
  return shown, senders
end

-- A call that has ended by now is a message like others: that somebody called.
local function call_of(p, event, entries)
  if event.class ~= 'call' or not Calls.id then return event.class, event.call end
  for i = #entries, 1, -1 do
    local _, flags, _, _, at = decode(entries[i])
    if has(flags, 'u') then
      local call = Calls.id(string.sub(entries[i], at))
      return Calls.is_over(p, event.user, call) and 'message' or 'call', call
    end
  end
  return 'message', ''
end

-- claim: is it still true? Then the attempt is recorded.
-- KEYS[1] prefix
-- ARGV stream id, event id (the first one's, when this is a retry), user, sid, reason, gen, class, registration ('' =
--      all), floor ms, group, when it was raised (ms), call, registrations that rang (JSON), attempt, ms that are left
--      to an active device, decisions kept, days they are kept
-- answers {'send', {count, class, call, unread (-1 = not known), requests}, {entry, subscription, …}, {chat, rule, …},
--         {field, registration, …}} | {'later', ms} | {'cancelled', reason}
-- 'later' and 'cancelled' take the event off the stream in the same step.
register('claim', function(keys, args)
  local p, group, only = keys[1], args[10], args[8]
  local event = { id = args[2], user = args[3], sid = args[4], reason = args[5], gen = args[6], class = args[7],
    only = only, at = tonumber(args[11]), call = args[12], rang = args[13] }
  local job, user = K.job(p, event.id), event.user
  local function cancel(why)
    if only == '' then
      if why ~= 'back' then clear_pending(p, event) end
      Push.count(p, 'cancelled:' .. why)
    else
      Push.count(p, 'withdrawn:' .. why)
    end
    note(p, user, args[16], args[17], event.id, 'cancelled', why, 'reason', event.reason)
    forget(p, args[1], only == '' and job or '', group)
    return { 'cancelled', why }
  end
  local count, entries, wait = still_true(p, event, only == '' and tonumber(args[9]) or 0)
  if not count then return cancel(entries) end
  if event.class == 'message' and event.reason ~= 'last-call' and is_read_elsewhere(p, user, entries) then
    return cancel('read-elsewhere')
  end
  local left = event.at + tonumber(args[15]) - now()
  if only == '' and event.class == 'message' and left > 0 and is_attended(p, user) then wait = math.max(wait, left) end
  if wait > 0 then   -- one trailing push: it stays pending, so what comes meanwhile adds no event
    redis.call('ZADD', K.retries(p), now() + wait, cjson.encode({ user = user, sid = event.sid,
      reason = event.reason, gen = event.gen, class = event.class, at = args[11], id = event.id }))
    note(p, user, args[16], args[17], event.id, 'put-off', 'too-soon', 'ms', wait)
    forget(p, args[1], job, group)
    return { 'later', wait }
  end
  local found = concerned(p, event, job)
  if only == '' then mark_claimed(p, event) end
  if #found == 0 then
    -- of an event that another worker had taken every part may have its outcome
    if redis.call('EXISTS', job) == 1 then
      forget(p, args[1], '', group)
      return { 'cancelled', 'done' }
    end
    return cancel('no-registration')
  end
  if only == '' and redis.call('EXISTS', job) == 0 then Push.count(p, 'claimed') end
  begin(p, event, job, found, tonumber(args[14]))
  local class, call = call_of(p, event, entries)
  local shown, senders = with_subscriptions(p, user, entries)
  return { 'send',
    { count, class, call, Unread.total and Unread.total(p, user) or -1, redis.call('HLEN', K.requests(p, user)) },
    shown, Notify.rules and Notify.rules(p, user, senders) or {}, found }
end)

-- The provider's answer came this long after the event: a histogram, as Prometheus counts (each bucket on its own here).
local WITHIN = { 50, 100, 250, 500, 1000, 2500, 5000, 15000, 60000, 300000 }

local function count_latency(p, provider, ms)
  local within = '+Inf'
  for _, most in ipairs(WITHIN) do
    if ms <= most then
      within = tostring(most)
      break
    end
  end
  Push.count(p, 'latency:' .. provider .. ':' .. within)
  Push.count(p, 'latency-sum:' .. provider, ms)
end

-- Where the decision about a push can be read, by the push's id.
local function note_push(p, user, field, id, length, days, event, what, why, ...)
  note(p, user, length, days, event, what, why, 'device', device_of(user, field), 'push', id, ...)
  if id ~= '' and tonumber(length) > 0 then
    redis.call('SET', K.push_owner(p, id), redis.sha1hex(user), 'EX', tonumber(days) * 86400)
  end
end

-- pushed: the outcome for one registration. A dead token goes only if it is still the same and older than the
-- provider's word.
-- KEYS[1] prefix
-- ARGV event id, user, field, outcome, token that failed ('' = keep the registration), provider's timestamp ms (0 =
--      none), '1' if the provider was asked, push id, provider, ms since the event, why, call that rang now ('' = none),
--      decisions kept, days they are kept
-- answers 'removed' | 'kept'
register('pushed', function(keys, args)
  local p, user, field, key = keys[1], args[2], args[3], K.registrations(keys[1], args[2])
  local job = K.job(p, args[1])
  if redis.call('HSETNX', job, field, args[4]) == 1 then   -- else it is sent again after a lost connection
    Push.count(p, args[4])
    if args[7] == '1' then Push.count(p, 'sent') end
    if args[4] == 'delivered' then count_latency(p, args[9], math.floor(tonumber(args[10]))) end
    note_push(p, user, field, args[8], args[13], args[14], args[1], args[4], args[11], 'provider', args[9], 'ms', args[10])
    if args[12] ~= '' and args[4] == 'delivered' then
      if Calls.is_over(p, user, args[12]) then Push.call_ended(p, user, args[12], Calls.how and Calls.how(p, user, args[12]), { field })
      else Calls.rang(p, user, args[12], field) end
    end
  end
  redis.call('EXPIRE', job, 86400)
  if args[5] == '' then return 'kept' end
  local value = redis.call('HGET', key, field)
  local registration = value and cjson.decode(value)
  if not registration or registration.token ~= args[5] then return 'kept' end
  local said = tonumber(args[6])
  if said > 0 and registration.at > said then return 'kept' end
  redis.call('HDEL', key, field)
  recount(p, user, registration.sid)
  return 'removed'
end)

-- retry: one registration's push is due again later
-- KEYS[1] prefix   ARGV ms from now, event (JSON), event id, user, field, '1' if the provider was asked, push id, why,
--      decisions kept, days they are kept   answers 'ok'
register('retry', function(keys, args)
  local p, tried = keys[1], args[6] == '1'
  if redis.call('ZADD', K.retries(p), now() + tonumber(args[1]), args[2]) == 0 then return 'ok' end   -- sent again
  redis.call('HSET', K.job(p, args[3]), '>' .. args[5], '1')
  if tried then Push.count(p, 'sent') else redis.call('HINCRBY', K.job(p, args[3]), '~' .. args[5], -1) end
  Push.count(p, tried and 'retried' or 'put-off')
  redis.call('EXPIRE', K.job(p, args[3]), 2592000)
  note_push(p, args[4], args[5], args[7], args[9], args[10], args[3], tried and 'retry' or 'put-off', args[8], 'ms', args[1])
  return 'ok'
end)

-- done: every registration of this event has its outcome   KEYS[1] prefix
-- ARGV stream id, event id ('' = keep the job), group
register('done', function(keys, args)
  local p = keys[1]
  forget(p, args[1], args[2] ~= '' and K.job(p, args[2]) or '', args[3])
  return 'ok'
end)

-- replay: a dead letter goes back on the stream, as a push of its own   KEYS[1] prefix
-- ARGV event id, registration, the letter's id, then the event, flat   answers 'ok'
register('replay', function(keys, args)
  local p, job = keys[1], K.job(keys[1], args[1])
  if redis.call('HSETNX', job, '^' .. args[3], '1') == 0 then return 'ok' end   -- sent again
  redis.call('EXPIRE', job, 86400)
  redis.call('HDEL', job, args[2], '~' .. args[2], '>' .. args[2])
  redis.call('XADD', K.events(p), '*', unpack(args, 4))
  return 'ok'
end)

-- background: may a push that shows nothing go to this device now? At most one in so many ms.
-- KEYS[1] prefix   ARGV user, field, ms, event id (the same one may ask again)   answers 1 | 0
register('background', function(keys, args)
  local key = K.background(keys[1], redis.sha1hex(args[1] .. '\n' .. args[2]))
  if tonumber(args[3]) == 0 or redis.call('SET', key, args[4], 'PX', args[3], 'NX') then return 1 end
  return redis.call('GET', key) == args[4] and 1 or 0
end)

-- trace: decisions about an account's pushes, oldest first   KEYS[1] prefix   ARGV user, or '' and a push id
-- answers XRANGE's entries
register('trace', function(keys, args)
  local p, digest = keys[1], args[1] ~= '' and redis.sha1hex(args[1])
  digest = digest or redis.call('GET', K.push_owner(p, args[2]))
  return digest and redis.call('XRANGE', K.trace(p, digest), '-', '+') or {}
end)
