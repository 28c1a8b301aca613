-- The cursor's queue: append, acknowledge, refill from the backlog.
-- Keys: q:{sid} list, back:{sid} list, pres:{sid} hash, off:{user} list, s:{sid} hash, fates hash

local ASIDE = 1000   -- JIDs whose newest presence is kept for a session that does not consume

-- What an inactive client (XEP-0352) need not be disturbed for.
local function may_wait(kind, flags) return kind == 'p' or kind == 'e' or has(flags, 'h') end

-- Append one entry. Answers its position (0: nobody need be told, since it waits in the backlog or for an inactive
-- client), or nil and why not: 'full' or 'dropped'.
-- Positions are given once and never change. Messages queue up behind a backlog; an IQ waits only for room, since the
-- backlog may itself wait for the client's presence, which clients send after their first IQs were answered. So does,
-- with `ahead`, the server's own answer to a message.
local function put(p, s, kind, flags, stamp, fan, body, limits, ahead)
  local position, mark, list = 0, 'back', nil
  local is_message = kind == 'm' or kind == 'c'
  -- What makes the queue full is shown, and all before it: nothing could follow before the client acknowledges some.
  local held = s.inactive and may_wait(kind, flags) and s.tail + 1 - s.acked < limits.queue
  if held then flags = flags .. 'd' end
  if (is_message and s.back > 0 and not ahead) or s.tail - s.acked >= limits.queue then
    if kind == 'q' then return nil, 'full' end
    if kind == 'm' and not has(flags, 's') then return nil, 'dropped' end
    if s.back + redis.call('LLEN', K.offline(p, s.user)) >= limits.quota then return nil, 'full' end
    s.back, list = s.back + 1, K.backlog(p, s.sid)
  else
    s.tail = s.tail + 1
    position, mark, list = s.tail, 'tail', K.queue(p, s.sid)
  end
  redis.call('RPUSH', list, encode(kind, flags, stamp, fan, body))
  local key = K.session(p, s.sid)
  if s.inactive and position > 0 then
    if held then position = 0
    else
      s.flush = s.tail
      redis.call('HSET', key, 'flush', s.flush)
    end
  end
  if has(flags, 'w') then
    s.important = s.important + 1
    redis.call('HSET', key, mark, s[mark], 'important', s.important)
    if has(flags, 'u') then
      s.urgent = s.important
      redis.call('HSET', key, 'urgent', s.urgent)
    end
    wake(p, s, s.state == ASLEEP and 'queued' or 'ack-delayed')
  else
    redis.call('HSET', key, mark, s[mark])
  end
  return position
end

-- What is neither counted nor waits: presence and events go straight to the end of such a session's queue.
local function takes_at_once(s, n, limits)
  return is_consuming(s) and not s.inactive and s.back == 0 and not s.aside and s.tail - s.acked + n <= limits.queue
end

-- Presence and events for a session that does not consume, or is inactive, wait beside its queue: the newest of each
-- `name` (presence: a full JID; events: node and item as well).
local function put_aside(p, s, kind, stamp, name, body, limits)
  local key = K.session(p, s.sid)
  if takes_at_once(s, 1, limits) then
    s.tail = s.tail + 1
    redis.call('RPUSH', K.queue(p, s.sid), encode(kind, '', stamp, '', body))
    redis.call('HSET', key, 'tail', s.tail)
    return s.tail
  end
  local waiting = K.presence(p, s.sid)
  if redis.call('HLEN', waiting) < ASIDE or redis.call('HEXISTS', waiting, name) == 1 then
    redis.call('HSET', waiting, name, kind .. body)
    if not s.aside then
      s.aside = true
      redis.call('HSET', key, 'aside', '1')
    end
  end
  return 0
end

local function put_presence(p, s, stamp, from, body, limits) return put_aside(p, s, 'p', stamp, from, body, limits) end

local COPIED_BYTES = 2000   -- some hundred archive ids

-- Messages of which a device that is not available has read a copy: should they come to the offline store, they are not
-- for this device (62_offline.lua).
local function note_copied(key, stamps)
  local known = redis.call('HGET', key, 'copied') or ''
  redis.call('HSET', key, 'copied', string.sub(known .. ' ' .. table.concat(stamps, ' '), -COPIED_BYTES))
end

local function acknowledge(p, s, upto)
  local messages, woken, left, copied = 0, 0, upto - s.acked, nil
  local list = K.queue(p, s.sid)
  while left > 0 do
    local entries = redis.call('LPOP', list, math.min(left, PIECE))
    if not entries then break end
    for _, entry in ipairs(entries) do
      local kind, flags, stamp, fan = decode(entry)
      -- `s.user` only where it is needed: to read it costs as much as the rest of this
      if kind == 'm' and (fan == '' or copy_acked(p, s.user, fan)) then messages = messages + 1 end
      if kind == 'c' and string.find(stamp, '-', 1, true) and not is_available(s) then   -- the archive's name for it
        copied = copied or {}
        copied[#copied + 1] = stamp
      end
      if has(flags, 'w') then woken = woken + 1 end
    end
    left = left - #entries
  end
  local key = K.session(p, s.sid)
  s.acked = upto
  if copied then note_copied(key, copied) end
  if woken > 0 then s.important_acked = redis.call('HINCRBY', key, 'important_acked', woken) end
  if woken > 0 and s.important_acked >= s.important then
    -- The device has everything it was woken for: what comes next is worth a push of its own, however soon it comes.
    redis.call('HSET', key, 'acked', upto, 'pushed_at', 0)
  else
    redis.call('HSET', key, 'acked', upto)
  end
  fate(p, 'acked', messages)
end

-- Move entries from the backlog into the queue as far as there is room. What a former session left waits for the
-- client's presence. Goes beyond a piece only until one entry is queued, since its ack is what brings the next piece.
local function fill(p, s, limits)
  if s.back == 0 or s.inherited > 0 and not is_available(s) then return end
  local moved, bytes, before = 0, 0, s.tail
  while s.back > 0 and s.tail - s.acked < limits.queue
      and (s.tail == before or moved < PIECE and bytes < PIECE_BYTES) do
    local entry = redis.call('LPOP', K.backlog(p, s.sid))
    if not entry then s.back, s.inherited = 0, 0 break end
    local kind, flags, _, _, at = decode(entry)
    local is_message = kind == 'm' or kind == 'c' and s.carbons
    if is_message or s.inherited == 0 then
      if is_message and not has(flags, 'd') then entry = kind .. 'd' .. string.sub(entry, 2) end
      redis.call('RPUSH', K.queue(p, s.sid), entry)
      s.tail = s.tail + 1
    else   -- asked of, or answered to, a session of this resource that is no more
      if kind == 'q' then bounce_later(p, s.user, string.sub(entry, at)) end
      if has(flags, 'w') then s.important_acked = s.important_acked + 1 end
    end
    s.back, s.inherited, moved, bytes = s.back - 1, math.max(0, s.inherited - 1), moved + 1, bytes + #entry
  end
  s.flush = s.tail
  redis.call('HSET', K.session(p, s.sid), 'tail', s.tail, 'back', s.back, 'inherited', s.inherited,
    'important_acked', s.important_acked, 'flush', s.flush)
end

-- The cursor moves again: what waits moves up, presence last.
local function catch_up(p, s, limits)
  fill(p, s, limits)
  if not s.aside or not is_consuming(s) or s.inactive or s.back > 0 then return end
  local key, bytes, stamp = K.presence(p, s.sid), 0, now()
  local names = redis.call('HKEYS', key)
  table.sort(names)   -- a hash has no order of its own
  for _, name in ipairs(names) do
    if s.tail - s.acked >= limits.queue or bytes >= PIECE_BYTES then return end
    local kept = redis.call('HGET', key, name)
    bytes = bytes + #kept
    put(p, s, string.sub(kept, 1, 1), '', stamp, '', string.sub(kept, 2), limits)
    redis.call('HDEL', key, name)
  end
  s.aside = false
  redis.call('HSET', K.session(p, s.sid), 'aside', '0')
end

local function limits_of(args, i) return { queue = tonumber(args[i]), quota = tonumber(args[i + 1]) } end

-- append: an entry for one session, together with the inbound count it answers
-- KEYS[1] prefix   ARGV sid, epoch, kind, flags, inbound count ('' = answers nothing), queue limit, quota, stanza,
--      serial
-- answers {'ok', position, tail} | {'duplicate', 0, tail} | {'full'} | {'dropped'} | {'stale'}
register('append', function(keys, args)
  local p, kind = keys[1], args[3]
  local s = own(p, args[1], args[2])
  if not s then return { 'stale' } end
  local key = K.session(p, s.sid)
  local v = redis.call('HMGET', key, 'serial', 'h')
  if tonumber(args[9]) <= tonumber(v[1]) then return { 'duplicate', 0, visible(s) } end
  if args[5] ~= '' and tonumber(args[5]) <= tonumber(v[2]) then return { 'duplicate', 0, visible(s) } end
  local position, why = put(p, s, kind, args[4], now(), '', args[8], limits_of(args, 6), true)
  if position then
    redis.call('HSET', key, 'serial', args[9], 'h', args[5] ~= '' and args[5] or v[2])
    if kind == 'm' then fate(p, 'accepted', 1) end
  end
  return position and { 'ok', position, visible(s) } or { why }
end)

-- read: entries from a position on, at most n entries and about so many bytes
-- KEYS[1] prefix   ARGV sid, epoch, position, n, bytes   answers {'ok', tail, entry, …} | {'stale'}
register('read', function(keys, args)
  local p = keys[1]
  local s = own(p, args[1], args[2])
  if not s then return { 'stale' } end
  local first, bytes = tonumber(args[3]) - s.acked - 1, tonumber(args[5])
  local n = math.min(tonumber(args[4]), visible(s) - tonumber(args[3]) + 1)
  local answer = { 'ok', visible(s) }
  if first < 0 then return answer end
  while n > 0 and bytes > 0 do
    local entries = redis.call('LRANGE', K.queue(p, s.sid), first, first + math.min(n, 50) - 1)
    if #entries == 0 then break end
    for _, entry in ipairs(entries) do
      answer[#answer + 1] = entry
      bytes = bytes - #entry
      if bytes <= 0 then break end
    end
    first, n = first + #entries, n - #entries
  end
  return answer
end)

-- handled: the inbound count, before the <a/> that tells it
-- KEYS[1] prefix   ARGV sid, epoch, h   answers 'ok' | 'stale'
register('handled', function(keys, args)
  local key = K.session(keys[1], args[1])
  local v = redis.call('HMGET', key, 'epoch', 'state', 'h')
  if v[1] ~= args[2] or v[2] == ENDING then return 'stale' end
  if tonumber(args[3]) > tonumber(v[3]) then redis.call('HSET', key, 'h', args[3]) end
  return 'ok'
end)

-- ack: entries up to h leave the queue, the backlog moves up, waiting pushes are cancelled
-- KEYS[1] prefix   ARGV sid, epoch, h, queue limit, quota   answers {'ok', tail} | {'too-high', tail} | {'stale'}
register('ack', function(keys, args)
  local p, h = keys[1], tonumber(args[3])
  local s = own(p, args[1], args[2])
  if not s then return { 'stale' } end
  if h > s.tail then return { 'too-high', s.tail } end
  if h > s.acked then
    acknowledge(p, s, h)
    if s.overdue or s.pending > 0 then cancel_events(p, s) end
    catch_up(p, s, limits_of(args, 4))
    wake(p, s, 'queued')   -- an ack that came late, for a part of what a session asleep holds
  end
  return { 'ok', visible(s) }
end)

-- overdue: the client does not answer <r/> ('1'), or does again ('0')
-- KEYS[1] prefix   ARGV sid, epoch, '1' or '0', queue limit, quota   answers {'ok', tail} | 'stale'
register('overdue', function(keys, args)
  local p = keys[1]
  local s = own(p, args[1], args[2])
  if not s then return 'stale' end
  if args[3] == '1' then
    s.overdue = true
    redis.call('HSET', K.session(p, s.sid), 'overdue', '1')
    wake(p, s, s.inactive and 'inactive' or 'ack-delayed')
  elseif s.overdue then
    cancel_events(p, s)
    catch_up(p, s, limits_of(args, 4))
    wake(p, s, 'queued')
  end
  return { 'ok', visible(s) }
end)

-- rest: the client's state (XEP-0352); active again it sees what waited
-- KEYS[1] prefix   ARGV sid, epoch, '1' (inactive) or '0', queue limit, quota   answers {'ok', tail} | {'stale'}
register('rest', function(keys, args)
  local p = keys[1]
  local s = own(p, args[1], args[2])
  if not s then return { 'stale' } end
  if s.inactive ~= (args[3] == '1') then
    s.inactive, s.flush = args[3] == '1', s.tail
    redis.call('HSET', K.session(p, s.sid), 'inactive', args[3], 'flush', s.flush)
    catch_up(p, s, limits_of(args, 4))
  end
  return { 'ok', visible(s) }
end)

-- carbons: copies for this session (XEP-0280), '1' or '0'   KEYS[1] prefix   ARGV sid, epoch, '1' or '0'
-- answers 'ok' | 'stale'
register('carbons', function(keys, args)
  if not own(keys[1], args[1], args[2]) then return 'stale' end
  redis.call('HSET', K.session(keys[1], args[1]), 'carbons', args[3])
  return 'ok'
end)
