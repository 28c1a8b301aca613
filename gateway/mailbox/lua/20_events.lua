-- The push rule: something important lies beyond the cursor of a device that is not consuming.
-- Keys: ev (stream), s:{sid} (pending, covered), acct:{user} (offline_pending, offline_gen), push:{user}

local function emit(p, user, sid, reason, gen, class)
  redis.call('XADD', K.events(p), '*', 'user', user, 'sid', sid, 'reason', reason, 'gen', gen, 'class', class, 'at', now())
end

-- An event for a session, unless one of at least this urgency still waits to be claimed: a burst is one event.
local function raise_event(p, s, reason, class)
  if not s.reg then return end
  local level = class == 'call' and 2 or 1
  if s.pending >= level then return end
  emit(p, s.user, s.sid, reason, s.gen, class)
  s.pending = level
  redis.call('HSET', K.session(p, s.sid), 'pending', level)
end

local function has_uncovered(s) return s.important > math.max(s.covered, s.important_acked) end

-- The device is back: whatever waits for it is cancelled by the new generation.
local function cancel_events(p, s)
  s.gen, s.pending, s.overdue = s.gen + 1, 0, false
  redis.call('HSET', K.session(p, s.sid), 'gen', s.gen, 'pending', 0, 'overdue', '0')
end

-- Something important was stored for devices without a session.
local function raise_offline_event(p, user, reason, class)
  if redis.call('HLEN', K.registrations(p, user)) == 0 then return end
  local account = K.account(p, user)
  local v = redis.call('HMGET', account, 'offline_pending', 'offline_gen')
  local level = class == 'call' and 2 or 1
  if tonumber(v[1] or 0) >= level then return end
  emit(p, user, '', reason, v[2] or '0', class)
  redis.call('HSET', account, 'offline_pending', level)
end
