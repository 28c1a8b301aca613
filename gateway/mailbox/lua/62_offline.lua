-- The offline store (XEP-0160) on its way to the device that has become available
-- Keys: off:{user} list, q:{sid} list, back:{sid} list, acct:{user} (offline_*), s:{sid} (arch_low, arch_high, copied),
--       fates

-- Fewer wait offline, of which so many would wake: they need no push; nothing at all is as if a device had come for it.
local function forget_important(p, user, woken)
  local account = K.account(p, user)
  if redis.call('EXISTS', account) == 0 then return end
  if redis.call('EXISTS', K.offline(p, user)) == 0 then
    redis.call('HSET', account, 'offline_important', 0, 'offline_covered', 0, 'offline_pending', 0)
    redis.call('HINCRBY', account, 'offline_gen', 1)
  elseif woken > 0 then
    local v = redis.call('HMGET', account, 'offline_important', 'offline_covered')
    redis.call('HSET', account, 'offline_important', math.max(0, tonumber(v[1] or 0) - woken),
      'offline_covered', math.max(0, tonumber(v[2] or 0) - woken))
  end
end

-- Take out of a list what the archive is sure to hold between two ids. Answers how many went, how many of those were
-- among the first `n`, and how many wake.
local function take_out(p, user, list, low, high, n)
  local gone, first, woken, archived = 0, 0, 0, 0
  for i, entry in ipairs(redis.call('LRANGE', list, 0, PIECE - 1)) do
    local kind, flags, stamp, fan = decode(entry)
    if is_archived(p, user, stamp) and Archive.is_after(stamp, low) and not Archive.is_after(stamp, high) then
      redis.call('LSET', list, i - 1, 'gone')
      gone = gone + 1
      if i <= n then first = first + 1 end
      if has(flags, 'w') then woken = woken + 1 end
      if kind == 'm' and copy_ended(p, user, fan) then archived = archived + 1 end
    end
  end
  if gone > 0 then redis.call('LREM', list, gone, 'gone') end
  fate(p, 'archived', archived)
  return gone, first, woken
end

-- What the client was shown of the archive, and the archive still holds, is not delivered a second time: neither from
-- the offline store nor of what a former session left.
local function skip_seen(p, s)
  local key = K.session(p, s.sid)
  local v = redis.call('HMGET', key, 'arch_low', 'arch_high')
  if not v[1] then return end
  local seen, _, waking = take_out(p, s.user, K.offline(p, s.user), v[1], v[2], 0)
  if seen > 0 then forget_important(p, s.user, waking) end
  if s.back == 0 then return end
  local gone, inherited, woken = take_out(p, s.user, K.backlog(p, s.sid), v[1], v[2], s.inherited)
  s.back, s.inherited, s.important_acked = s.back - gone, s.inherited - inherited, s.important_acked + woken
  redis.call('HSET', key, 'back', s.back, 'inherited', s.inherited, 'important_acked', s.important_acked)
end

-- The copies (XEP-0280) that a device got before it said that it is there: those that wait, by their stamps, and the
-- archive ids of those that it has acknowledged.
local function copies_of(p, s)
  local held, acked = {}, {}
  for id in string.gmatch(redis.call('HGET', K.session(p, s.sid), 'copied') or '', '%d+%-%d+') do acked[id] = true end
  for _, list in ipairs({ K.queue(p, s.sid), K.backlog(p, s.sid) }) do
    for i, entry in ipairs(redis.call('LRANGE', list, 0, PIECE - 1)) do
      local kind, _, stamp = decode(entry)
      if kind == 'c' then
        held[stamp] = held[stamp] or {}
        table.insert(held[stamp], { list = list, index = i - 1, entry = entry })
      end
    end
  end
  return held, acked
end

-- The copy becomes the message itself, so that nothing but an ack ends it. Answers whether there is one.
local function promote(copies, flags, stamp, fan, body)
  for _, copy in ipairs(copies or {}) do
    if string.find(copy.entry, nested(body), 1, true) then
      local late = has(flags, 'd') and flags or flags .. 'd'
      redis.call('LSET', copy.list, copy.index, encode('m', late, stamp, fan, body))
      return true
    end
  end
  return false
end

-- What another device was to have and left behind unread does not come to this one again if it has a copy.
local function skip_copied(p, s)
  local offline, held, acked = K.offline(p, s.user), nil, nil
  local gone, woken, read = 0, 0, 0
  for i, entry in ipairs(redis.call('LRANGE', offline, 0, PIECE - 1)) do
    local _, flags, stamp, fan, at = decode(entry)
    if has(flags, 'c') then
      if not held then held, acked = copies_of(p, s) end
      if acked[stamp] or promote(held[stamp], flags, stamp, fan, string.sub(entry, at)) then
        redis.call('LSET', offline, i - 1, 'gone')
        gone, read = gone + 1, read + (acked[stamp] and 1 or 0)
        if has(flags, 'w') then woken = woken + 1 end
      end
    end
  end
  if gone == 0 then return end
  redis.call('LREM', offline, gone, 'gone')
  forget_important(p, s.user, woken)
  fate(p, 'acked', read)
end

-- Is there a session whose client retrieves for itself (XEP-0013)? One that sleeps does not stand in the others' way.
local function is_selective(p, user)
  for _, s in ipairs(sessions_of(p, user)) do
    if s.state == LIVE and redis.call('HGET', K.session(p, s.sid), 'selective') == '1' then return true end
  end
  return false
end

-- A device that looked into the archive and switched copies on, but has not yet said that it is there, takes it that
-- nothing escapes it from then on. What came after its look and waits offline another device takes now: it gets a copy.
local function copy_to_lookers(p, s, limits, placed)
  local lookers = {}
  for _, other in ipairs(sessions_of(p, s.user)) do
    local high = other.carbons and other.sid ~= s.sid and not is_available(other)
      and redis.call('HGET', K.session(p, other.sid), 'arch_high')
    if high then lookers[#lookers + 1] = { session = other, high = high } end
  end
  if #lookers == 0 then return end
  for _, entry in ipairs(redis.call('LRANGE', K.offline(p, s.user), 0, PIECE - 1)) do
    local _, flags, stamp, _, at = decode(entry)
    for _, looker in ipairs(has(flags, 'c') and is_archived(p, s.user, stamp) and lookers or {}) do
      if not looker.held then looker.held, looker.acked = copies_of(p, looker.session) end
      if Archive.is_after(stamp, looker.high) and not looker.held[stamp] and not looker.acked[stamp] then
        local body = string.sub(entry, at)
        local type = string.match(body, "^<[^>]-%stype=['\"](%l+)") or 'normal'
        local marks = string.gsub(flags, '[^wuh]', '') .. 'd'
        copy_for(p, looker.session, s.user, 'received', type, marks, stamp, body, limits, placed)
      end
    end
  end
end

-- Offline messages follow what a former session left; they go through the queue, so that only an ack removes them.
-- Other sessions that get something are told in `placed`.
local function drain(p, s, limits, placed)
  settle_endings(p, s.user, limits)
  if redis.call('HLEN', K.resources(p, s.user)) > 1 then copy_to_lookers(p, s, limits, placed) end
  skip_seen(p, s)
  skip_copied(p, s)
  local waiting = redis.call('LLEN', K.offline(p, s.user))
  if waiting > 0 and not is_selective(p, s.user) then
    local account = K.account(p, s.user)
    s.important = s.important + tonumber(redis.call('HGET', account, 'offline_important') or 0)
    s.back = join(K.backlog(p, s.sid), K.offline(p, s.user), K.backlog(p, s.sid))
    redis.call('HSET', K.session(p, s.sid), 'back', s.back, 'important', s.important)
    redis.call('HSET', account, 'offline_important', 0, 'offline_covered', 0, 'offline_pending', 0)
    redis.call('HINCRBY', account, 'offline_gen', 1)
  end
  catch_up(p, s, limits)
  wake(p, s, 'queued')
end
