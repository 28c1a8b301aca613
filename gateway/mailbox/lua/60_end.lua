-- A session's end: the resource is free at once, the remainder gets its fate piece by piece (architecture, section 5).
-- Keys: those of 50_session.lua, ends set, off:{user} list, out stream, fates hash

-- Decided once, when the session ends: `store` keeps messages for the account's next device, `deliver` hands them to
-- its other sessions, `bounce` returns them to their senders. (`drop`: the account was removed.)
local function plan(p, s, resend, limits)
  if not string.find(s.user, '@', 1, true) then return 'bounce' end   -- a component (XEP-0114) has no offline store
  if #available(p, s.user, s.sid) > 0 then return resend == 'true' and 'deliver' or 'bounce' end
  return (resend == 'false' or limits.quota == 0) and 'bounce' or 'store'
end

local function hand_over(p, s, others, flags, stamp, body, limits, placed)
  local taken, fan = 0, fan_of(p, #others)
  for _, other in ipairs(others) do
    local position = put(p, other, 'm', flags, stamp, fan, body, limits)
    if position then
      taken = taken + 1
      local n = #placed
      placed[n + 1], placed[n + 2], placed[n + 3] = other.sid, other.node, position
    end
  end
  note_copies(p, s.user, fan, taken)
  return taken > 0
end

-- Back into the offline store: accepted once already, so the quota does not turn it away.
local function put_back(p, user, flags, stamp, body, push)
  redis.call(push, K.offline(p, user), encode('m', flags, stamp, '', body))
  if has(flags, 'w') then redis.call('HINCRBY', K.account(p, user), 'offline_important', 1) end
end

-- Is a message sure to be in the archive? Then its end without an acknowledgement loses nothing.
local function is_archived(p, user, stamp)
  return string.find(stamp, '-', 1, true) and Archive.holds(p, user, stamp)
end

local function settle(p, s, entry, how, others, limits, placed)
  local kind, flags, stamp, fan, at = decode(entry)
  local body = string.sub(entry, at)
  if kind == 'q' then return bounce_later(p, s.user, body) end
  if kind ~= 'm' or not copy_ended(p, s.user, fan) then return end
  local stored = has(flags, 's')
  if how == 'store' and stored then
    put_back(p, s.user, flags, stamp, body, 'LPUSH')
  elseif how ~= 'drop' and is_archived(p, s.user, stamp) then
    fate(p, 'archived', 1)
  elseif how == 'deliver' and hand_over(p, s, others, flags, stamp, body, limits, placed) then
    return
  elseif how == 'deliver' and stored and #others == 0 and limits.quota > 0 then   -- they are gone meanwhile
    put_back(p, s.user, flags, stamp, body, 'RPUSH')
    if s.unnotified and has(flags, 'w') then raise_offline_event(p, s.user, 'offline', 'message') end
  elseif (how == 'bounce' or how == 'deliver') and stored and has(flags, 'b') then
    bounce_later(p, s.user, body)
    fate(p, 'bounced', 1)
  else
    fate(p, 'dropped', 1)
  end
end

-- One piece of the remainder; true when it was the last. What is stored goes from the newest backwards, so that every
-- LPUSH puts an older entry before a newer one and the order is right however many pieces it takes; the rest goes
-- forwards.
local function end_piece(p, s, limits, placed)
  local key, user = K.session(p, s.sid), s.user
  local v = redis.call('HMGET', key, 'how', 'unnotified')
  s.unnotified = v[2] == '1'
  local how, others = v[1], v[1] == 'deliver' and available(p, user, s.sid) or {}
  local lists, pop = { K.queue(p, s.sid), K.backlog(p, s.sid) }, 'LPOP'
  if how == 'store' then lists, pop = { lists[2], lists[1] }, 'RPOP' end
  local moved, bytes = 0, 0
  for _, list in ipairs(lists) do
    while moved < PIECE and bytes < PIECE_BYTES do
      local entry = redis.call(pop, list)
      if not entry then break end
      moved, bytes = moved + math.max(1, #others), bytes + #entry * math.max(1, #others)
      settle(p, s, entry, how, others, limits, placed)
    end
  end
  if redis.call('EXISTS', lists[1], lists[2]) > 0 then return false end
  redis.call('DEL', key)
  redis.call('SREM', K.endings(p), s.sid)
  if s.unnotified and how == 'store' then raise_offline_event(p, user, 'offline', 'message') end
  return true
end

local function endings_of(p, user)
  local found = {}
  for _, sid in ipairs(redis.call('SMEMBERS', K.endings(p))) do
    local s = load(p, sid)
    if s and s.user == user then found[#found + 1] = s end
  end
  return found
end

-- Before the offline store is touched, earlier remainders have to be in it, or the order of messages would be lost.
-- Hardly ever is there one: it had more than a piece, and this came before the sweeper's next turn.
local function settle_endings(p, user, limits)
  for _, s in ipairs(endings_of(p, user)) do
    if redis.call('HGET', K.session(p, s.sid), 'how') == 'store' then
      repeat until end_piece(p, s, limits, {})
    end
  end
end

local function begin_end(p, s, how, max_old, limits, placed)
  if how == 'store' then settle_endings(p, s.user, limits) end
  retire(p, s, max_old)
  redis.call('SADD', K.endings(p), s.sid)
  redis.call('HSET', K.session(p, s.sid), 'state', ENDING, 'node', '', 'owner', '', 'how', how)
  s.state, s.node = ENDING, ''
  if s.reg then
    Push.count_idle(p, s.user)
    if how ~= 'drop' and not is_available(s) then Push.left(p, s) end
  end
  -- who was told of it may not be all for whom it waits from now on
  redis.call('HSET', K.session(p, s.sid), 'unnotified',
    (has_uncovered(s) or s.important > s.important_acked and s.reg and Push.has_others_idle(p, s)) and '1' or '0')
  if how ~= 'drop' then Presence.unavailable(p, s, limits, placed) else Presence.bereave(p, s) end
end

local function ended(done, placed)
  table.insert(placed, 1, done and 'done' or 'more')
  return placed
end

-- close: the client ended its stream, or a session that cannot be resumed lost its socket
-- KEYS[1] prefix   ARGV sid, epoch, resend_on_timeout, queue limit, quota, old h kept
-- answers {'done' | 'more', sid, node, position, …} | {'stale'}; after 'more' call `finish`
register('close', function(keys, args)
  local p, limits, placed = keys[1], limits_of(args, 4), {}
  local s = load(p, args[1])
  if not s or s.epoch ~= args[2] then return { 'stale' } end
  if s.state ~= ENDING then begin_end(p, s, plan(p, s, args[3], limits), tonumber(args[6]), limits, placed) end
  return ended(end_piece(p, s, limits, placed), placed)
end)

-- expire: only if the deadline has passed and nobody resumed
-- KEYS[1] prefix   ARGV sid, resend_on_timeout, queue limit, quota, old h kept
-- answers {'done' | 'more', sid, node, position, …} | {'kept'}
register('expire', function(keys, args)
  local p, limits, placed = keys[1], limits_of(args, 3), {}
  local s = load(p, args[1])
  if not s or s.state == LIVE then
    redis.call('ZREM', K.due(p), args[1])
    return { 'kept' }
  end
  if s.state == ASLEEP then
    if tonumber(redis.call('HGET', K.session(p, s.sid), 'deadline')) > now() then return { 'kept' } end
    begin_end(p, s, plan(p, s, args[2], limits), tonumber(args[5]), limits, placed)
  end
  return ended(end_piece(p, s, limits, placed), placed)
end)

-- finish: the next piece of an end that was too large for one operation, or whose caller died
-- KEYS[1] prefix   ARGV sid, resend_on_timeout, queue limit, quota   answers {'done' | 'more', sid, node, position, …}
register('finish', function(keys, args)
  local p, limits, placed = keys[1], limits_of(args, 3), {}
  local s = load(p, args[1])
  if not s or s.state ~= ENDING then
    redis.call('SREM', K.endings(p), args[1])
    return { 'done' }
  end
  return ended(end_piece(p, s, limits, placed), placed)
end)

-- chores: what fell due in this bucket   KEYS[1] prefix   ARGV most of each
-- answers {expired sids, sids for a last call, sids whose end is unfinished, retries moved, sids that fade, accounts with
--         deliveries under way to other slots for more than a second}
register('chores', function(keys, args)
  local p, at, most = keys[1], now(), tonumber(args[1])
  local retries = redis.call('ZRANGEBYSCORE', K.retries(p), '-inf', at, 'LIMIT', 0, most)
  for _, event in ipairs(retries) do
    local fields = cjson.decode(event)
    local flat = {}
    for name, value in pairs(fields) do flat[#flat + 1], flat[#flat + 2] = name, value end
    redis.call('XADD', K.events(p), '*', unpack(flat))
    redis.call('ZREM', K.retries(p), event)
  end
  local transferring = redis.call('ZRANGEBYSCORE', K.transferring(p), '-inf', at - 1000, 'LIMIT', 0, most)
  if #transferring == 0 then   -- of before the clock went back
    transferring = redis.call('ZRANGEBYSCORE', K.transferring(p), '(' .. at, '+inf', 'LIMIT', 0, most)
  end
  return {
    redis.call('ZRANGEBYSCORE', K.due(p), '-inf', at, 'LIMIT', 0, most),
    redis.call('ZRANGEBYSCORE', K.lastcalls(p), '-inf', at, 'LIMIT', 0, most),
    redis.call('SRANDMEMBER', K.endings(p), most), #retries,
    redis.call('ZRANGEBYSCORE', K.fading(p), '-inf', at, 'LIMIT', 0, most),
    transferring,
  }
end)

-- last_call: the session expires soon and its phone has not come for what waits
-- KEYS[1] prefix   ARGV sid   answers 'ok' | 'kept'
register('last_call', function(keys, args)
  local p = keys[1]
  local s = redis.call('ZREM', K.lastcalls(p), args[1]) == 1 and load(p, args[1])
  if not s or s.state ~= ASLEEP or s.important <= s.important_acked then return 'kept' end
  raise_event(p, s, 'last-call', 'message')
  return 'ok'
end)
