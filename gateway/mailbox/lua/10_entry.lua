-- What every operation shares: the clock, entries, sessions as they are read, fates.

local LIVE, ASLEEP, ENDING = 'live', 'asleep', 'ending'
local PIECE, PIECE_BYTES = 1000, 1048576   -- no operation moves more at once, so that Redis is never blocked for long

local function now()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function has(flags, flag) return string.find(flags, flag, 1, true) ~= nil end

local function encode(kind, flags, stamp, fan, body)
  return kind .. flags .. '|' .. stamp .. '|' .. fan .. '|' .. body
end

-- kind, flags, stamp, fan-out id, index of the stanza's first byte
local function decode(entry)
  return string.match(entry, '^(%l)(%l*)|(%d+)|(%w*)|()')
end

local function fate(p, name, n) if n > 0 then redis.call('HINCRBY', K.fates(p), name, n) end end

-- The session as a table, or nil. `fields` of the hash s:{sid}:
--   user resource jid (full, XML-escaped) ujid (bare, XML-escaped) node owner epoch state h
--   smacks ('1': may be resumed) max (ms it is kept) max_with_push (ms, once a registration is linked) base (XEP-0198 counts after it)
--   tail acked back (entries in the backlog)  priority ('' = unavailable) presence
--   important, important_acked, covered: messages that wake, counted on arrival; how many were acked; how many an event covered
--   overdue ('1': <r/> unanswered) reg ('1': a push registration is linked) pending (0, 1 message, 2 call: event not yet claimed)
--   gen (raised by resume and ack) pushed_at last_event bound_at deadline
local function load(p, sid)
  local v = redis.call('HMGET', K.session(p, sid), 'state', 'node', 'tail', 'acked', 'back', 'overdue', 'reg', 'pending',
    'gen', 'epoch', 'user', 'important', 'priority', 'important_acked', 'covered')
  if not v[1] then return nil end
  return {
    sid = sid, state = v[1], node = v[2], tail = tonumber(v[3]), acked = tonumber(v[4]), back = tonumber(v[5]),
    overdue = v[6] == '1', reg = v[7] == '1', pending = tonumber(v[8]), gen = tonumber(v[9]), epoch = v[10], user = v[11],
    important = tonumber(v[12]), priority = v[13], important_acked = tonumber(v[14]), covered = tonumber(v[15]),
  }
end

-- A session that the caller owns: nil when its epoch is stale or it has ended. A fence for every write to a session.
local function own(p, sid, epoch)
  local s = load(p, sid)
  if not s or s.epoch ~= epoch or s.state == ENDING then return nil end
  return s
end

-- Sessions of an account that are available (non-negative priority), except one.
local function available(p, user, except)
  local found = {}
  local pairs_ = redis.call('HGETALL', K.resources(p, user))
  for i = 2, #pairs_, 2 do
    if pairs_[i] ~= except then
      local s = load(p, pairs_[i])
      if s and s.state ~= ENDING and s.priority ~= '' and tonumber(s.priority) >= 0 then found[#found + 1] = s end
    end
  end
  return found
end

-- One copy of a message was acknowledged: true if that decides the message's fate.
local function copy_acked(p, user, fan)
  if fan == '' then return true end
  local key = K.fanout(p, user)
  local left = tonumber(redis.call('HGET', key, fan) or 0)
  if left == 0 then return false end
  local remaining = math.abs(left) - 1
  if remaining == 0 then redis.call('HDEL', key, fan) else redis.call('HSET', key, fan, -remaining) end
  return left > 0
end

-- One copy ended without an acknowledgement: true if it was the last and none was acknowledged, so that its fate is the message's.
local function copy_ended(p, user, fan)
  if fan == '' then return true end
  local key = K.fanout(p, user)
  local left = tonumber(redis.call('HGET', key, fan) or 0)
  if left == 0 then return false end
  local remaining = math.abs(left) - 1
  if remaining == 0 then
    redis.call('HDEL', key, fan)
    return left > 0
  end
  redis.call('HSET', key, fan, left > 0 and remaining or -remaining)
  return false
end

local function bounce_later(p, user, entry_body)
  redis.call('XADD', K.outbox(p), '*', 'do', 'bounce', 'user', user, 'stanza', entry_body)
end
