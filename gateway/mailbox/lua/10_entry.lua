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

-- kind, flags, stamp (ms; of what is archived its archive id, 'ms-seq'), fan-out id, index of the stanza's first byte
local function decode(entry)
  return string.match(entry, '^(%l)(%l*)|([%d%-]+)|(%w*)|()')
end

local function fate(p, name, n) if n > 0 then redis.call('HINCRBY', K.fates(p), name, n) end end

-- The session as a table, or nil. `fields` of the hash s:{sid}:
--   user resource jid (full, XML-escaped) ujid (bare, XML-escaped) node owner epoch state h
--   smacks ('1': may be resumed) max (ms it is kept) max_with_push (ms, once a registration is linked)
--   base (XEP-0198 counts after it) bound_at deadline
--   tail acked   back: entries in the backlog; inherited: how many of them, from its head, a former session left
--   priority ('' = unavailable) presence former_priority   aside ('1': presence waits beside the queue)
--   important, important_acked, covered: messages that wake, counted on arrival; how many were acked; how many an event
--   covered; urgent: the count at the latest call   overdue ('1': <r/> unanswered) reg ('1': a registration is linked)
--   pending (0, 1 message, 2 call: event not yet claimed) gen (raised by resume and ack) pushed_at last_event
--   serial: the owner's last operation that must not run twice
--   carbons ('1': XEP-0280 is on) inactive ('1': XEP-0352) flush: as far as an inactive session's cursor may write
--   interested ('1': asked for the roster) blocklist ('1': asked for the block list) notify: PEP nodes it wants, each
--   between line feeds   arch_low, arch_high: what its client was shown of the archive   copied: archive ids of the newest
--   copies that it acknowledged while it was unavailable     (all of these may be absent)
--   replaced, replaced_node, former_node: answers to repeat
--   how, unnotified: of a session that is ending
--
-- What every delivery and ack needs is read at once; the rest when it is first asked for, which for a session that
-- consumes is hardly ever: a field costs as much as a third of a command.
local function read_rest(s, name)
  local v = redis.call('HMGET', K.session(s.prefix, s.sid), 'user', 'gen', 'important_acked', 'covered', 'urgent',
    'inherited', 'reg', 'epoch', 'carbons', 'flush')
  s.user, s.gen, s.important_acked, s.covered = v[1], tonumber(v[2]), tonumber(v[3]), tonumber(v[4])
  s.urgent, s.inherited, s.reg, s.carbons = tonumber(v[5]), tonumber(v[6]), v[7] == '1', v[9] == '1'
  s.epoch, s.flush = rawget(s, 'epoch') or v[8], rawget(s, 'flush') or tonumber(v[10] or 0)   -- may be set by now
  return rawget(s, name)
end

local LAZY = { __index = read_rest }

local function session_of(p, sid, v, epoch)
  return setmetatable({
    prefix = p, sid = sid, state = v[1], node = v[2], tail = tonumber(v[3]), acked = tonumber(v[4]),
    back = tonumber(v[5]), overdue = v[6] == '1', priority = v[7], important = tonumber(v[8]),
    pending = tonumber(v[9]), aside = v[10] == '1', inactive = v[11] == '1', epoch = epoch,
  }, LAZY)
end

-- With up to two further fields, which are answered beside it.
local function load(p, sid, ...)
  local v = redis.call('HMGET', K.session(p, sid), 'state', 'node', 'tail', 'acked', 'back', 'overdue', 'priority',
    'important', 'pending', 'aside', 'inactive', ...)
  if not v[1] then return nil end
  return session_of(p, sid, v), v[12], v[13]
end

-- A session that the caller owns: nil when its epoch is stale or it has ended. A fence for every write to a session.
local function own(p, sid, epoch)
  local v = redis.call('HMGET', K.session(p, sid), 'state', 'node', 'tail', 'acked', 'back', 'overdue', 'priority',
    'important', 'pending', 'aside', 'inactive', 'epoch')
  if v[12] ~= epoch or v[1] == ENDING then return nil end
  return session_of(p, sid, v, epoch)
end

-- The tail, as far as the session's cursor may see it: an inactive client is written to when something urgent comes.
local function visible(s) return s.inactive and s.flush or s.tail end

-- All sessions of an account that have not ended.
local function sessions_of(p, user)
  local found, all = {}, redis.call('HGETALL', K.resources(p, user))
  for i = 1, #all, 2 do
    local s = load(p, all[i + 1])
    if s and s.state ~= ENDING then
      s.resource = all[i]
      found[#found + 1] = s
    end
  end
  return found
end

local function is_available(s) return s.priority ~= '' and tonumber(s.priority) >= 0 end

-- Sessions of an account, except one, that take messages to the bare JID; or with `any`, that have sent presence at all
-- (a negative priority keeps messages away, not presence: RFC 6121 sections 8.5.2.1.1 and 8.5.2.1.2).
local function available(p, user, except, any)
  local found, all = {}, redis.call('HGETALL', K.resources(p, user))
  for i = 1, #all, 2 do
    local s = all[i + 1] ~= except and load(p, all[i + 1])
    if s and s.state ~= ENDING and (is_available(s) or any and s.priority ~= '') then
      s.resource = all[i]
      found[#found + 1] = s
    end
  end
  return found
end

-- Copies of one message in several sessions share a fate: the first acknowledgement, or else the end of the last copy.

-- A copy was acknowledged: true if that decides the message's fate.
local function copy_acked(p, user, fan)
  if fan == '' then return true end
  local key = K.fanout(p, user)
  local left = tonumber(redis.call('HGET', key, fan) or 0)
  if left == 0 then return false end
  local remaining = math.abs(left) - 1
  if remaining == 0 then redis.call('HDEL', key, fan) else redis.call('HSET', key, fan, -remaining) end
  return left > 0
end

-- A copy ended without an acknowledgement: true if it was the last and none was acknowledged, so that its fate is the
-- message's.
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

-- A name for the copies of a message that `n` sessions may take.
local function fan_of(p, n) return n > 1 and tostring(redis.call('INCR', K.fan_ids(p))) or '' end

local function note_copies(p, user, fan, taken)
  if fan ~= '' and taken > 0 then redis.call('HSET', K.fanout(p, user), fan, taken) end
end

local function bounce_later(p, user, stanza)
  redis.call('XADD', K.outbox(p), '*', 'do', 'bounce', 'user', user, 'stanza', stanza)
end

-- `first` and then `second`, as the list `into`, which is one of them or does not exist: the shorter one is moved.
local function join(first, second, into)
  local heads, tails = redis.call('LLEN', first), redis.call('LLEN', second)
  if heads > 0 and tails > 0 then
    if heads < tails then
      for _ = 1, heads do redis.call('LMOVE', first, second, 'RIGHT', 'LEFT') end
    else
      for _ = 1, tails do redis.call('LMOVE', second, first, 'LEFT', 'RIGHT') end
    end
  end
  for _, list in ipairs({ first, second }) do
    if list ~= into and redis.call('EXISTS', list) == 1 then redis.call('RENAME', list, into) end
  end
  return heads + tails
end
