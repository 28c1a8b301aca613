-- The push rule: something important lies beyond the cursor of a device that is not consuming.
-- Keys: ev (stream), s:{sid} (pending, covered), acct:{user} (offline_pending, offline_gen), push:{user}

local LEVEL = { message = 1, call = 2 }

local function emit(p, user, sid, reason, gen, class)
  redis.call('XADD', K.events(p), '*', 'user', user, 'sid', sid, 'reason', reason, 'gen', gen, 'class', class, 'at',
    now())
end

-- An event for a session, unless one of at least this urgency still waits to be claimed: a burst is one event.
local function raise_event(p, s, reason, class)
  if not s.reg or s.pending >= LEVEL[class] then return end
  emit(p, s.user, s.sid, reason, s.gen, class)
  s.pending = LEVEL[class]
  redis.call('HSET', K.session(p, s.sid), 'pending', s.pending)
end

local function is_consuming(s) return s.state == LIVE and not s.overdue end

-- So many important messages the device has, or was told of.
local function told(s) return math.max(s.covered, s.important_acked) end

local function has_uncovered(s) return s.important > told(s) end

-- The push rule itself, asked wherever one of its terms may have become true.
local function wake(p, s, reason)
  if not is_consuming(s) and s.reg and has_uncovered(s) then
    raise_event(p, s, reason, s.urgent > told(s) and 'call' or 'message')
  end
end

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
  if tonumber(v[1] or 0) >= LEVEL[class] then return end
  emit(p, user, '', reason, v[2] or '0', class)
  redis.call('HSET', account, 'offline_pending', LEVEL[class])
end
