-- The push rule: something important lies beyond the cursor of a device that is not consuming.
-- Keys: ev (stream), retry zset, s:{sid} (pending, covered), acct:{user} (offline_pending, offline_gen, push_idle,
--       idle_important, idle_newest), push:{user}, wakeslot, pushstat

local LEVEL = { message = 1, call = 2 }

function Push.count(p, name, n) redis.call('HINCRBY', K.push_counts(p), name, n or 1) end

local function emit(p, user, sid, reason, gen, class)
  redis.call('XADD', K.events(p), '*', 'user', user, 'sid', sid, 'reason', reason, 'gen', gen, 'class', class, 'at',
    now())
  Push.count(p, 'raised')
end

-- An event that is put on the stream when its time has come. Nothing is pending meanwhile: what comes earlier, and is
-- not to wait, has an event of its own, and then there is nothing left for this one.
local function emit_later(p, s, reason, class, ms)
  redis.call('ZADD', K.retries(p), now() + ms, cjson.encode({ user = s.user, sid = s.sid, reason = reason,
    gen = tostring(s.gen), class = class, at = tostring(now()) }))
  Push.count(p, 'raised')
end

-- An event for a session, unless one of at least this urgency still waits to be claimed: a burst is one event.
local function raise_event(p, s, reason, class)
  if not s.reg then return end
  if s.pending >= LEVEL[class] then return Push.count(p, 'coalesced') end
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

-- The process that had the connection has died: its devices are woken at a bounded rate, whether or not something waits
-- for them, since most of them do not notice. `spacing`: ms between two of this bucket.
function Push.restarted(p, s, spacing)
  if not s.reg then return end
  local key, at = K.wake_slot(p), now()
  local slot = math.max(at + tonumber(string.sub(redis.sha1hex(s.sid), 1, 6), 16) % spacing,
    tonumber(redis.call('GET', key) or 0))
  redis.call('SET', key, slot + spacing, 'PXAT', slot + 2 * spacing)
  emit_later(p, s, 'restart', 'wake', slot - at)
end

-- The device is back: whatever waits for it is cancelled by the new generation.
local function cancel_events(p, s)
  s.gen, s.pending, s.overdue = s.gen + 1, 0, false
  redis.call('HSET', K.session(p, s.sid), 'gen', s.gen, 'pending', 0, 'overdue', '0')
end

-- Something important came for devices without a session: it was stored, or archived while another device took it.
local function raise_offline_event(p, user, reason, class)
  if redis.call('HLEN', K.registrations(p, user)) == 0 then return end
  local account = K.account(p, user)
  local v = redis.call('HMGET', account, 'offline_pending', 'offline_gen')
  if tonumber(v[1] or 0) >= LEVEL[class] then return Push.count(p, 'coalesced') end
  emit(p, user, '', reason, v[2] or '0', class)
  redis.call('HSET', account, 'offline_pending', LEVEL[class])
end

-- A device that was connected, and took nothing of what is stored offline, is no more: is there what nobody was told of?
function Push.left(p, s)
  local v = redis.call('HMGET', K.account(p, s.user), 'offline_important', 'offline_covered')
  if tonumber(v[1] or 0) > tonumber(v[2] or 0) then raise_offline_event(p, s.user, 'hibernation', 'message') end
end

-- The link has broken. What was written to it may have arrived, and the phone may be back in a moment: if that is all
-- there is, and no call, it is left `grace` ms. One that has not said yet that it is available takes nothing that is
-- stored offline, so it is as without a session.
function Push.asleep(p, s, all_offered, grace)
  if not s.reg then return end
  if s.priority == '' then
    Push.count_idle(p, s.user)
    Push.left(p, s)
  end
  if not has_uncovered(s) then return end
  if all_offered and grace > 0 and s.urgent <= told(s) then emit_later(p, s, 'hibernation', 'message', grace)
  else wake(p, s, 'hibernation') end
end

local NEWEST = 20   -- messages that only the archive has for devices without a session: so many are known by their ids

-- Live devices took it, and the archive: those without a session learn of it in no other way.
function Push.archived(p, user, flags, id)
  local account = K.account(p, user)
  local v = redis.call('HMGET', account, 'push_idle', 'idle_newest')
  if (v[1] or '0') == '0' then return end
  local ids = { id .. '/' .. flags }
  for other in string.gmatch(v[2] or '', '%S+') do
    if #ids < NEWEST then ids[#ids + 1] = other end
  end
  redis.call('HINCRBY', account, 'idle_important', 1)
  redis.call('HSET', account, 'idle_newest', table.concat(ids, ' '))
  raise_offline_event(p, user, 'archived', has(flags, 'u') and 'call' or 'message')
end

-- The call has ended: devices that ring are told. `how`: 'call-ended', or 'call-answered' (or rejected) by a device of
-- the account; `fields`: their registrations, if they are known.
function Push.call_ended(p, user, call, how, fields)
  fields = fields or Calls.rung(p, user, call)
  if #fields == 0 then return end
  redis.call('XADD', K.events(p), '*', 'user', user, 'sid', '', 'reason', how or 'call-ended', 'gen', '0',
    'class', 'call-ended', 'at', now(), 'call', call, 'rang', cjson.encode(fields))
  Push.count(p, 'raised')
end
