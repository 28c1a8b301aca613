-- A worker has read a push event: is it still true, and for whom?
-- Keys: ev stream, retry zset, job:{event}, push:{user}, s:{sid} (pending, covered, pushed_at, last_event), acct:{user}
--       (offline_*, idle_important), q:{sid}, back:{sid}, off:{user}, res:{user}, roster:{user}, reqs:{user}, trace

do

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
    local device = meant and Push.device(event.user, field)
    if meant and redis.call('HEXISTS', job, device) == 0
        and (event.only ~= '' or redis.call('HEXISTS', job, '>' .. device) == 0) then
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
    local device = Push.device(event.user, found[i])
    local tries = redis.call('HINCRBY', job, '~' .. device, 1)
    local is_put_off = redis.call('HEXISTS', job, '>' .. device) == 1   -- untried, and counted before
    if tries == 1 and not is_put_off then Push.count(p, 'queued') end
    if tries > attempt + 1 then
      Push.count(p, 'repeated')
      redis.call('HSET', job, '~' .. device, attempt + 1)
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
  local was_claimed = only == '' and redis.call('EXISTS', job) == 1   -- by a worker that died
  local function cancel(why)
    if only == '' and why ~= 'back' then clear_pending(p, event) end
    if was_claimed then
      Push.end_begun(p, user, job, {}, why)
    else
      Push.count(p, (only == '' and 'cancelled:' or 'withdrawn:') .. why)
    end
    Push.note(p, user, args[16], args[17], event.id, 'cancelled', why, 'reason', event.reason)
    Push.forget(p, args[1], only == '' and not was_claimed and job or '', group)
    return { 'cancelled', why }
  end
  local device = only ~= '' and Push.device(user, only)
  local is_open = not device or redis.call('HEXISTS', job, device) == 0
  if device and is_open and event.class == 'message' and Push.is_superseded(p, device, event.id) then
    return cancel('superseded')
  end
  local count, entries, wait = still_true(p, event, only == '' and tonumber(args[9]) or 0)
  if not count then return cancel(entries) end
  if event.class == 'message' and event.reason ~= 'last-call' and is_read_elsewhere(p, user, entries) then
    return cancel('read-elsewhere')
  end
  local left = event.at + tonumber(args[15]) - now()
  if only == '' and event.class == 'message' and left > 0 and is_attended(p, user) then wait = math.max(wait, left) end
  if wait > 0 and not was_claimed then   -- one trailing push: it stays pending, so what comes meanwhile adds no event
    redis.call('ZADD', K.retries(p), now() + wait, cjson.encode({ user = user, sid = event.sid,
      reason = event.reason, gen = event.gen, class = event.class, at = args[11], id = event.id }))
    Push.note(p, user, args[16], args[17], event.id, 'put-off', 'too-soon', 'ms', wait)
    Push.forget(p, args[1], job, group)
    return { 'later', wait }
  end
  local found = concerned(p, event, job)
  if only == '' then mark_claimed(p, event) end
  if #found == 0 then
    -- of an event that another worker had taken every part may have its outcome
    if was_claimed then Push.end_begun(p, user, job, found, 'no-registration') end
    if was_claimed or not is_open then
      Push.forget(p, args[1], '', group)
      return { 'cancelled', 'done' }
    end
    return cancel('no-registration')
  end
  if was_claimed then Push.end_begun(p, user, job, found, 'no-registration')
  elseif only == '' then Push.count(p, 'claimed') end
  begin(p, event, job, found, tonumber(args[14]))
  local class, call = call_of(p, event, entries)
  local shown, senders = with_subscriptions(p, user, entries)
  return { 'send',
    { count, class, call, Unread.total and Unread.total(p, user) or -1, redis.call('HLEN', K.requests(p, user)) },
    shown, Notify.rules and Notify.rules(p, user, senders) or {}, found }
end)

end
