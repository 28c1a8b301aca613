-- A worker has read a push event: is it still true, and for whom?
-- Keys: ev stream, retry zset, job:{event}, push:{user}, s:{sid} (pending, covered, pushed_at, last_event), acct:{user}
--       (offline_*, idle_*), arch:{user}, q:{sid}, back:{sid}, off:{user}, res:{user}, roster:{user}, reqs:{user}, trace

do

-- Registrations an event is for: of a call that ended those that rang, of a session those linked to it, else those
-- whose device has no session. Not those that have an outcome, or wait for a retry: another worker had taken the event,
-- and died. (Whether a retry itself is at its end is asked before.)
local function concerned(p, event, job)
  local found, all, rang = {}, redis.call('HGETALL', K.registrations(p, event.user)), {}
  for _, field in ipairs(event.rang ~= '' and cjson.decode(event.rang) or {}) do rang[field] = true end
  for i = 1, #all, 2 do
    local sid, field = cjson.decode(all[i + 1]).sid, all[i]
    local meant
    if event.class == 'call-ended' then
      local s = rang[field] and (event.only == '' or event.only == field) and load(p, sid)
      meant = rang[field] and (event.only == '' or event.only == field) and not (s and is_consuming(s))
    elseif event.only ~= '' then meant = event.only == field and (event.sid == sid or not Push.is_reached(p, sid))
    elseif event.sid ~= '' then meant = event.sid == sid
    else meant = not Push.is_reached(p, sid) end
    local device = meant and Push.device(event.user, field)
    if meant and redis.call('HEXISTS', job, device) == 0
        and (event.only ~= '' or redis.call('HEXISTS', job, '>' .. device) == 0) then
      found[#found + 1], found[#found + 2] = field, all[i + 1]
    end
  end
  return found
end

local SHOWN, MOST = 20, 200     -- so many of the newest are looked at, and so many if the device was told of none of them
local STEP, SEARCHED = 60, 1200   -- entries of a list that are read at once, and in all

-- The newest entries that wake, oldest first. `fresh`: so many the device was not told of; then lists, the newest first.
local function newest(fresh, ...)
  local found, want = {}, math.max(SHOWN, math.min(fresh, MOST))
  for _, list in ipairs({ ... }) do
    local last = -1
    while #found < want and last > -SEARCHED do
      local entries = redis.call('LRANGE', list, last - STEP + 1, last)
      for i = #entries, 1, -1 do
        local _, flags = decode(entries[i])
        if has(flags, 'w') and #found < want then found[#found + 1] = entries[i] end
      end
      if #entries < STEP then break end
      last = last - STEP
    end
  end
  for i = 1, math.floor(#found / 2) do found[i], found[#found - i + 1] = found[#found - i + 1], found[i] end
  return found
end

local function time_of(entry)
  local _, _, stamp = decode(entry)
  return tonumber(string.match(stamp, '^%d+'))
end

-- What waits for devices without a session: stored offline, or in the archive alone (`ids`).
local function newest_offline(p, user, fresh, ids)
  local found = newest(fresh, K.offline(p, user))
  for id, flags in string.gmatch(ids or '', '(%S+)/(%l*)') do
    local kept = redis.call('XRANGE', K.archive(p, user), id, id)[1]
    if kept then found[#found + 1] = encode('m', flags, id, '', kept[2][4]) end
  end
  if ids then table.sort(found, function(one, other) return time_of(one) < time_of(other) end) end
  return found
end

local function sender_of(entry)
  local _, _, _, _, at = decode(entry)
  return string.match(entry, "^<[^>]-%sfrom=['\"]([^'\"]+)", at) or ''
end

-- What the device was not told of was shown on another one since: nothing is left that it would have to be woken for.
local function is_read_elsewhere(p, user, entries, fresh)
  if #entries == 0 then return false end
  if Unread.total(p, user) == 0 and time_of(entries[#entries]) <= Unread.read_at(p, user) then return true end
  if fresh > #entries then return false end
  for i = #entries - fresh + 1, #entries do
    local _, _, stamp = decode(entries[i])
    if not Unread.is_read(p, user, sender_of(entries[i]), stamp) then return false end
  end
  return fresh > 0
end

-- Is a push for what waits for devices without a session worth sending? As still_true.
local function offline_true(p, event, floor)
  local v = redis.call('HMGET', K.account(p, event.user), 'offline_gen', 'offline_important', 'offline_covered',
    'offline_pushed_at', 'idle_important', 'idle_newest', 'offline_pending')
  local waiting, covered = tonumber(v[2] or 0) + tonumber(v[5] or 0), tonumber(v[3] or 0)
  -- what was stored offline is taken; what only the archive has for devices without a session is not
  if event.sid == '' and (v[1] or '0') ~= event.gen and tonumber(v[5] or 0) == 0 then return nil, 'back' end
  if waiting == 0 or not event.again and waiting <= covered then return nil, 'nothing-waiting' end
  if event.class == 'message' and not event.again and tonumber(v[7] or 0) == LEVEL.call then
    return nil, 'pushed-meanwhile'
  end
  local fresh = event.again and waiting or waiting - covered
  local urgent = event.again or event.class == 'call'
  return waiting, newest_offline(p, event.user, fresh, v[6]), urgent and 0 or tonumber(v[4] or 0) + floor - now(), fresh
end

-- Is the push still worth sending? Answers count, newest entries, ms to wait for the floor and how many of what waits
-- the device was not told of; or nil and why not. What another event covered since needs no push of its own, but the
-- last call repeats what was pushed before. A message leaves it to a call that came after it, and waits as well: that
-- tells of both.
local function still_true(p, event, floor)
  if event.class == 'call-ended' then return 0, {}, 0, 0 end
  if event.sid == '' then return offline_true(p, event, floor) end
  local s = load(p, event.sid)
  if not s or s.state == ENDING then
    -- What a failed push was for may wait offline by now, and nothing else will come to wake this device.
    if event.again then return offline_true(p, event, floor) end
    return nil, 'session-gone'
  end
  if tostring(s.gen) ~= event.gen then return nil, 'back' end
  if is_consuming(s) then return nil, 'consuming' end
  local pushed_at, waiting = tonumber(redis.call('HGET', K.session(p, s.sid), 'pushed_at')), s.important - s.important_acked
  if event.class == 'wake' then
    if not event.again and pushed_at >= event.at then return nil, 'pushed-meanwhile' end
    return waiting, {}, 0, waiting
  end
  local repeats = event.again or event.reason == 'last-call'
  if waiting <= 0 or not repeats and not has_uncovered(s) then return nil, 'nothing-waiting' end
  if event.class == 'message' and not event.again and s.pending == LEVEL.call then return nil, 'pushed-meanwhile' end
  local fresh, urgent = repeats and waiting or s.important - told(s), repeats or event.class == 'call'
  return waiting, newest(fresh, K.backlog(p, s.sid), K.queue(p, s.sid)), urgent and 0 or pushed_at + floor - now(), fresh
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
      'offline_pushed_at', at)
  else
    key = K.session(p, event.sid)
    redis.call('HSET', key, 'pending', 0, 'covered', redis.call('HGET', key, 'important'), 'pushed_at', at,
      'last_event', event.id)
  end
end

-- Pushes of a claimed event were withdrawn, and their devices sleep, or will, over what it was to tell: unless another
-- event has told of it since, nobody did.
local function unmark(p, event, job)
  local all = redis.call('HGETALL', K.registrations(p, event.user))
  for i = 1, #all, 2 do
    local s = redis.call('HGET', job, Push.device(event.user, all[i])) == 'withdrawn'
      and load(p, cjson.decode(all[i + 1]).sid)
    local last = s and s.state ~= ENDING and redis.call('HGET', K.session(p, s.sid), 'last_event')
    if last == event.id or last == '' then   -- '': it was bound since
      s.covered = s.important_acked
      redis.call('HSET', K.session(p, s.sid), 'covered', s.covered)
      wake(p, s, 'queued')
    end
  end
end

-- What was waiting to be claimed is no more; but what outranks it still does.
local function clear_pending(p, event)
  if event.class ~= 'message' and event.class ~= 'call' then return end
  local key, field = K.session(p, event.sid), 'pending'
  if event.sid == '' then key, field = K.account(p, event.user), 'offline_pending' end
  if tonumber(redis.call('HGET', key, field) or 0) == LEVEL[event.class] then redis.call('HSET', key, field, 0) end
end

-- The attempt is recorded before it is made: one that is recorded twice may have been made twice, by a worker that died
-- in between. (A name with ~ in front counts attempts, one with > waits for a retry since that stream entry, one with @
-- has the request that began it last; the name alone is the outcome.)
local function begin(p, event, job, found, attempt, request)
  for i = 1, #found, 2 do
    local device = Push.device(event.user, found[i])
    if redis.call('HGET', job, '@' .. device) ~= request then   -- else it is sent again after a lost connection
      local tries = redis.call('HINCRBY', job, '~' .. device, 1)
      local is_put_off = redis.call('HEXISTS', job, '>' .. device) == 1   -- untried, and counted before
      if tries == 1 and not is_put_off then Push.count(p, 'queued') end
      if tries > attempt + 1 then Push.count(p, 'repeated') end
      redis.call('HSET', job, '@' .. device, request, '~' .. device, math.min(tries, attempt + 1))
    end
  end
  redis.call('EXPIRE', job, 2592000)
end

-- Who wrote what waits, as the account's roster knows them.
local function with_subscriptions(p, user, entries)
  local shown, known, senders = {}, {}, {}
  for _, entry in ipairs(entries) do
    local sender = bare_of(sender_of(entry))
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
  if event.class ~= 'call' then return event.class, event.call end
  for i = #entries, 1, -1 do
    local _, flags, _, _, at = decode(entries[i])
    if has(flags, 'u') then
      local call = Calls.id(string.sub(entries[i], at))
      return Calls.is_over(p, event.user, call) and 'message' or 'call', call
    end
  end
  return 'message', ''
end

-- All that the device was not told of are calls that another one has answered, or rejected.
local function is_answered(p, event, entries, fresh)
  if event.class ~= 'call' or fresh == 0 or fresh > #entries then return false end
  for i = #entries - fresh + 1, #entries do
    local _, flags, _, _, at = decode(entries[i])
    local call = has(flags, 'u') and Calls.id(string.sub(entries[i], at)) or ''
    if call == '' or not Calls.is_over(p, event.user, call) or Calls.how(p, event.user, call) ~= 'call-answered' then
      return false
    end
  end
  return true
end

-- Why a push is cancelled that somebody was told of, or has seen, in another way.
local SETTLED = { superseded = true, ['read-elsewhere'] = true, ['call-answered'] = true }

-- claim: is it still true? Then the attempt is recorded.
-- KEYS[1] prefix
-- ARGV stream id, event id (the first one's, when this is a retry), user, sid, reason, gen, class, registration ('' =
--      all), floor ms, group, when it was raised (ms), call, registrations that rang (JSON), attempt, ms that are left
--      to an active device, decisions kept, days they are kept, this request's name
-- answers {'send', {count, class, call, unread (-1 = not known), requests, how many the device was not told of},
--         {entry, subscription, …}, {chat, rule, …}, {field, registration, …}} | {'later', ms} | {'cancelled', reason}
-- 'later' and 'cancelled' take the event off the stream in the same step.
register('claim', function(keys, args)
  local p, group, only = keys[1], args[10], args[8]
  local event = { id = args[2], user = args[3], sid = args[4], reason = args[5], gen = args[6], class = args[7],
    only = only, at = tonumber(args[11]), call = args[12], rang = args[13] }
  local job, user = K.job(p, event.id), event.user
  local was_claimed = only == '' and redis.call('EXISTS', job) == 1   -- by a worker that died
  local device = only ~= '' and Push.device(user, only)
  event.again = device or was_claimed
  local function leave(why)
    Push.open_parts(job)
    Push.forget(p, args[1], '', group)
    return { 'cancelled', why }
  end
  local function cancel(why)
    if was_claimed then Push.end_begun(p, user, job, {}, why)
    elseif device then Push.withdraw(p, job, device, why)
    else
      if why ~= 'back' then clear_pending(p, event) end
      Push.count(p, 'cancelled:' .. why)
    end
    if event.again and not SETTLED[why] then unmark(p, event, job) end
    Push.note(p, user, args[16], args[17], event.id, 'cancelled', why, 'reason', event.reason)
    return leave(why)
  end
  -- Another worker, or this one whose connection was lost, has taken it off the stream, or has come to this retry's end.
  local is_over = #redis.call('XRANGE', K.events(p), args[1], args[1]) == 0
  if is_over or device and (redis.call('HEXISTS', job, device) == 1 or redis.call('HGET', job, '>' .. device) == args[1])
  then
    return leave('done')
  end
  if device and event.class == 'message' and Push.is_superseded(p, device, event.id) then return cancel('superseded') end
  local count, entries, wait, fresh = still_true(p, event, tonumber(args[9]))
  if not count then return cancel(entries) end
  if event.class == 'message' and event.reason ~= 'last-call' and is_read_elsewhere(p, user, entries, fresh) then
    return cancel('read-elsewhere')
  end
  if is_answered(p, event, entries, fresh) then return cancel('call-answered') end
  local left = event.at + tonumber(args[15]) - now()
  if event.class == 'message' and left > 0 and is_attended(p, user) then wait = math.max(wait, left) end
  if wait > 0 and not event.again then   -- one trailing push: it stays pending, so what comes meanwhile adds no event
    redis.call('ZADD', K.retries(p), now() + wait, cjson.encode({ user = user, sid = event.sid,
      reason = event.reason, gen = event.gen, class = event.class, at = args[11], id = event.id }))
    Push.note(p, user, args[16], args[17], event.id, 'put-off', 'too-soon', 'ms', wait)
    Push.forget(p, args[1], '', group)
    return { 'later', wait }
  end
  local found = concerned(p, event, job)
  if #found == 0 and not was_claimed then return cancel('no-registration') end
  if was_claimed then
    Push.end_begun(p, user, job, found, 'no-registration')
    unmark(p, event, job)
  end
  if #found == 0 then return leave('done') end   -- every part has its outcome
  if not event.again then
    mark_claimed(p, event)
    Push.count(p, 'claimed')
  end
  begin(p, event, job, found, tonumber(args[14]), args[18])
  local class, call = call_of(p, event, entries)
  local shown, senders = with_subscriptions(p, user, entries)
  return { 'send',
    { count, class, call, Unread.total(p, user) or -1, redis.call('HLEN', K.requests(p, user)), fresh },
    shown, Notify.rules(p, user, senders), found }
end)

end
