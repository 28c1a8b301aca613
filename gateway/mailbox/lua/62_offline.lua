-- The offline store (XEP-0160) on its way to the device that has become available
-- Keys: off:{user} list, back:{sid} list, acct:{user} (offline_*), s:{sid} (arch_low, arch_high), fates

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
  local _, _, waking = take_out(p, s.user, K.offline(p, s.user), v[1], v[2], 0)
  if waking > 0 then redis.call('HINCRBY', K.account(p, s.user), 'offline_important', -waking) end
  if s.back == 0 then return end
  local gone, inherited, woken = take_out(p, s.user, K.backlog(p, s.sid), v[1], v[2], s.inherited)
  s.back, s.inherited, s.important_acked = s.back - gone, s.inherited - inherited, s.important_acked + woken
  redis.call('HSET', key, 'back', s.back, 'inherited', s.inherited, 'important_acked', s.important_acked)
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
    if high then lookers[#lookers + 1] = { other, high } end
  end
  if #lookers == 0 then return end
  for _, entry in ipairs(redis.call('LRANGE', K.offline(p, s.user), 0, PIECE - 1)) do
    local _, flags, stamp, _, at = decode(entry)
    for _, looker in ipairs(has(flags, 'c') and is_archived(p, s.user, stamp) and lookers or {}) do
      if Archive.is_after(stamp, looker[2]) then
        local body = string.sub(entry, at)
        local type = string.match(body, "^<[^>]-%stype=['\"](%l+)") or 'normal'
        local marks = string.gsub(flags, '[^wuh]', '') .. 'd'
        copy_for(p, looker[1], s.user, 'received', type, marks, stamp, body, limits, placed)
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
