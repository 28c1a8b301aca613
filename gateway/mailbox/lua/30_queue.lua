-- The cursor's queue: append, acknowledge, refill from the backlog.
-- Keys: q:{sid} list, back:{sid} list, pres:{sid} hash, off:{user} list, s:{sid} hash, fates hash

-- Append one entry. Answers its position (0: it waits in the backlog), or nil and why not: 'full' or 'dropped'.
-- Positions are given once and never change. Messages queue up behind a backlog; an IQ waits only for room, since the
-- backlog may itself wait for the client's presence, which clients send after their first IQs were answered.
local function put(p, s, kind, flags, stamp, fan, body, limits)
  local key = K.session(p, s.sid)
  local position = 0
  if (kind == 'm' and s.back > 0) or s.tail - s.acked >= limits.queue then
    if kind == 'q' then return nil, 'full' end
    if kind == 'm' and not has(flags, 's') then return nil, 'dropped' end
    if s.back + redis.call('LLEN', K.offline(p, s.user)) >= limits.quota then return nil, 'full' end
    redis.call('RPUSH', K.backlog(p, s.sid), encode(kind, flags, stamp, fan, body))
    s.back = redis.call('HINCRBY', key, 'back', 1)
  else
    s.tail = s.tail + 1
    position = s.tail
    redis.call('RPUSH', K.queue(p, s.sid), encode(kind, flags, stamp, fan, body))
    redis.call('HSET', key, 'tail', position)
  end
  if has(flags, 'w') then
    s.important = redis.call('HINCRBY', key, 'important', 1)
    if s.state == ASLEEP or s.overdue then
      raise_event(p, s, s.overdue and 'ack-delayed' or 'queued', has(flags, 'u') and 'call' or 'message')
    end
  end
  return position
end

-- Presence for a session that does not consume waits beside its queue, the newest per full JID.
local function put_presence(p, s, stamp, from, body, limits)
  if s.state == LIVE and s.back == 0 and s.tail - s.acked < limits.queue then
    return put(p, s, 'p', '', stamp, '', body, limits)
  end
  local key = K.presence(p, s.sid)
  if redis.call('HLEN', key) < 1000 or redis.call('HEXISTS', key, from) == 1 then redis.call('HSET', key, from, body) end
  return 0
end

local function acknowledge(p, s, upto)
  local messages, woken, left = 0, 0, upto - s.acked
  while left > 0 do
    local entries = redis.call('LPOP', K.queue(p, s.sid), math.min(left, PIECE))
    if not entries then break end
    for _, entry in ipairs(entries) do
      local kind, flags, _, fan = decode(entry)
      if kind == 'm' and copy_acked(p, s.user, fan) then messages = messages + 1 end
      if has(flags, 'w') then woken = woken + 1 end
    end
    left = left - #entries
  end
  s.acked = upto
  redis.call('HSET', K.session(p, s.sid), 'acked', upto)
  if woken > 0 then s.important_acked = redis.call('HINCRBY', K.session(p, s.sid), 'important_acked', woken) end
  fate(p, 'acked', messages)
end

-- Move entries from the backlog into the queue as far as there is room. Only for an available session.
local function fill(p, s, limits)
  if s.back == 0 or s.priority == '' or tonumber(s.priority) < 0 then return end
  local moved, bytes, before = 0, 0, s.tail
  while s.back > 0 and s.tail - s.acked < limits.queue and moved < PIECE and bytes < PIECE_BYTES do
    local entry = redis.call('LPOP', K.backlog(p, s.sid))
    if not entry then s.back = 0 break end
    local kind, flags, _, fan, at = decode(entry)
    s.back, moved, bytes = s.back - 1, moved + 1, bytes + #entry
    if kind == 'm' or kind == 'r' then
      redis.call('RPUSH', K.queue(p, s.sid), entry)
      s.tail = s.tail + 1
    elseif kind == 'q' then   -- asked of a session of this resource that is no more
      bounce_later(p, s.user, string.sub(entry, at))
    end
  end
  redis.call('HSET', K.session(p, s.sid), 'tail', s.tail, 'back', s.back)
  return s.tail > before
end

local function limits_of(args, i) return { queue = tonumber(args[i]), quota = tonumber(args[i + 1]) } end

-- append: an entry for one session, together with the inbound count it answers
-- KEYS[1] prefix   ARGV sid, epoch, kind, flags, inbound count ('' = answers nothing), queue limit, quota, stanza
-- answers {'ok', position, tail} | {'duplicate'} | {'full'} | {'stale'}
register('append', function(keys, args)
  local p, limits = keys[1], limits_of(args, 6)
  local s = own(p, args[1], args[2])
  if not s then return { 'stale' } end
  local key = K.session(p, s.sid)
  if args[5] ~= '' then
    if tonumber(args[5]) <= tonumber(redis.call('HGET', key, 'h')) then return { 'duplicate' } end
    redis.call('HSET', key, 'h', args[5])
  end
  local position, why = put(p, s, args[3], args[4], now(), '', args[8], limits)
  if not position then return { why } end
  return { 'ok', position, s.tail }
end)

-- read: entries from a position on, at most n entries and about so many bytes
-- KEYS[1] prefix   ARGV sid, epoch, position, n, bytes   answers {'ok', tail, entry, …} | {'stale'}
register('read', function(keys, args)
  local p = keys[1]
  local s = own(p, args[1], args[2])
  if not s then return { 'stale' } end
  local first, n, bytes = tonumber(args[3]) - s.acked - 1, tonumber(args[4]), tonumber(args[5])
  local answer = { 'ok', s.tail }
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
    fill(p, s, limits_of(args, 4))
    if s.overdue or s.pending > 0 then cancel_events(p, s) end
  end
  return { 'ok', s.tail }
end)

-- overdue: the client does not answer <r/> ('1'), or does again ('0')
-- KEYS[1] prefix   ARGV sid, epoch, '1' or '0'   answers 'ok' | 'stale'
register('overdue', function(keys, args)
  local p = keys[1]
  local s = own(p, args[1], args[2])
  if not s then return 'stale' end
  if args[3] == '1' then
    redis.call('HSET', K.session(p, s.sid), 'overdue', '1')
    if has_uncovered(s) then raise_event(p, s, 'ack-delayed', 'message') end
  elseif s.overdue then
    cancel_events(p, s)
  end
  return 'ok'
end)
