-- The offline store (XEP-0160) on its way to the device that has become available
-- Keys: off:{user} list, back:{sid} list, acct:{user} (offline_*), s:{sid} (seen), fates

-- What the client has caught up with from the archive is not delivered a second time; what the archive is not sure to
-- hold is. Only entries that came before the catch-up can have been seen, so the first later one ends the search.
local function skip_seen(p, s)
  local seen = redis.call('HGET', K.session(p, s.sid), 'seen')
  if not seen or seen == '' then return end
  local key, kept, archived, woken = K.offline(p, s.user), {}, 0, 0
  for _, entry in ipairs(redis.call('LRANGE', key, 0, PIECE - 1)) do
    local _, flags, stamp = decode(entry)
    if Archive.is_after(stamp, seen) then break end
    redis.call('LPOP', key)
    if is_archived(p, s.user, flags, stamp) then
      archived = archived + 1
      if has(flags, 'w') then woken = woken + 1 end
    else
      kept[#kept + 1] = entry
    end
  end
  for i = #kept, 1, -1 do redis.call('LPUSH', key, kept[i]) end
  if woken > 0 then redis.call('HINCRBY', K.account(p, s.user), 'offline_important', -woken) end
  fate(p, 'archived', archived)
end

-- Is there a session whose client retrieves for itself (XEP-0013)? One that sleeps does not stand in the others' way.
local function is_selective(p, user)
  for _, s in ipairs(sessions_of(p, user)) do
    if s.state == LIVE and redis.call('HGET', K.session(p, s.sid), 'selective') == '1' then return true end
  end
  return false
end

-- Offline messages follow what a former session left; they go through the queue, so that only an ack removes them.
local function drain(p, s, limits)
  settle_endings(p, s.user, limits)
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
