-- A session's end: the resource is free at once, the remainder gets its fate piece by piece (architecture, section 5).
-- Keys: those of 50_session.lua, ends set, out stream, fates hash

local UNAVAILABLE = "<presence from='%s' to='%s' type='unavailable'/>"

-- `store` keeps messages for the account's next device, `deliver` hands them to its other sessions, `bounce` returns them.
local function plan(others, resend)
  if #others == 0 then return resend == 'false' and 'bounce' or 'store' end
  return resend == 'true' and 'deliver' or 'bounce'
end

local function begin_end(p, s, max_old, limits, placed)
  local key = K.session(p, s.sid)
  if s.priority ~= '' then
    local v = redis.call('HMGET', key, 'jid', 'ujid')
    -- gsub would take % in a JID for a pattern; format does not
    broadcast(p, s, string.format(UNAVAILABLE, v[1], v[2]), now(), limits, placed)
  end
  retire(p, s, max_old)
  redis.call('SADD', K.endings(p), s.sid)
  redis.call('HSET', key, 'state', ENDING, 'node', '', 'owner', '', 'unnotified', has_uncovered(s) and '1' or '0')
  s.state, s.node = ENDING, ''
end

local function hand_over(p, s, others, flags, stamp, body, limits, placed)
  local taken, fan = 0, ''
  if #others > 1 then fan = tostring(redis.call('HINCRBY', K.account(p, s.user), 'fan_ids', 1)) end
  for _, other in ipairs(others) do
    local position = put(p, other, 'm', flags, stamp, fan, body, limits)
    if position then
      taken = taken + 1
      local n = #placed
      placed[n + 1], placed[n + 2], placed[n + 3] = other.sid, other.node, position
    end
  end
  if taken > 0 and fan ~= '' then redis.call('HSET', K.fanout(p, s.user), fan, taken) end
  return taken > 0
end

local function settle(p, s, entry, how, others, limits, placed)
  local kind, flags, stamp, fan, at = decode(entry)
  local body = string.sub(entry, at)
  if kind == 'q' then return bounce_later(p, s.user, body) end
  if kind ~= 'm' or not copy_ended(p, s.user, fan) then return end
  if how == 'store' and has(flags, 's') then
    redis.call('LPUSH', K.offline(p, s.user), encode('m', flags, stamp, '', body))
    if has(flags, 'w') then redis.call('HINCRBY', K.account(p, s.user), 'offline_important', 1) end
  elseif how == 'deliver' and hand_over(p, s, others, flags, stamp, body, limits, placed) then
    return
  elseif how ~= 'store' and has(flags, 'b') and has(flags, 's') then
    bounce_later(p, s.user, body)
    fate(p, 'bounced', 1)
  else
    fate(p, 'dropped', 1)
  end
end

-- One piece of the remainder. From the newest backwards, so that every LPUSH puts an older entry before a newer one and the
-- order is right however many pieces it takes; forwards where entries are appended elsewhere.
local function end_piece(p, s, resend, limits, placed)
  local others = available(p, s.user, s.sid)
  local how = plan(others, resend)
  local lists, pop = { K.backlog(p, s.sid), K.queue(p, s.sid) }, 'RPOP'
  if how == 'deliver' then lists, pop = { lists[2], lists[1] }, 'LPOP' end
  local moved, bytes = 0, 0
  for _, list in ipairs(lists) do
    while moved < PIECE and bytes < PIECE_BYTES do
      local entry = redis.call(pop, list)
      if not entry then break end
      moved, bytes = moved + 1, bytes + #entry
      settle(p, s, entry, how, others, limits, placed)
    end
  end
  if redis.call('EXISTS', lists[1], lists[2]) > 0 then return false end
  local unnotified = redis.call('HGET', K.session(p, s.sid), 'unnotified') == '1'
  redis.call('DEL', K.session(p, s.sid))
  redis.call('SREM', K.endings(p), s.sid)
  if unnotified and how == 'store' then raise_offline_event(p, s.user, 'offline', 'message') end
  return true
end

local function ended(done, placed)
  local answer = { done and 'done' or 'more' }
  for _, value in ipairs(placed) do answer[#answer + 1] = value end
  return answer
end

-- close: the client ended its stream, or a session that cannot be resumed lost its socket
-- KEYS[1] prefix   ARGV sid, epoch, resend_on_timeout, queue limit, quota, old h kept
-- answers {'done' | 'more', sid, node, position, …} | {'stale'}; after 'more' call `finish`
register('close', function(keys, args)
  local p, limits, placed = keys[1], limits_of(args, 4), {}
  local s = own(p, args[1], args[2])
  if not s then return { 'stale' } end
  begin_end(p, s, tonumber(args[6]), limits, placed)
  return ended(end_piece(p, s, args[3], limits, placed), placed)
end)

-- expire: only if the deadline has passed and nobody resumed
-- KEYS[1] prefix   ARGV sid, resend_on_timeout, queue limit, quota, old h kept
-- answers {'done' | 'more', sid, node, position, …} | {'kept'}
register('expire', function(keys, args)
  local p, limits, placed = keys[1], limits_of(args, 3), {}
  local s = load(p, args[1])
  if not s then
    redis.call('ZREM', K.due(p), args[1])
    return { 'kept' }
  end
  if s.state == ASLEEP then
    if tonumber(redis.call('HGET', K.session(p, s.sid), 'deadline')) > now() then return { 'kept' } end
    begin_end(p, s, tonumber(args[5]), limits, placed)
  elseif s.state ~= ENDING then
    redis.call('ZREM', K.due(p), s.sid)
    return { 'kept' }
  end
  return ended(end_piece(p, s, args[2], limits, placed), placed)
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
  return ended(end_piece(p, s, args[2], limits, placed), placed)
end)

-- chores: what fell due in this bucket   KEYS[1] prefix   ARGV most of each
-- answers {expired sids, sids for a last call, sids whose end is unfinished, retries moved}
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
  return {
    redis.call('ZRANGEBYSCORE', K.due(p), '-inf', at, 'LIMIT', 0, most),
    redis.call('ZRANGEBYSCORE', K.lastcalls(p), '-inf', at, 'LIMIT', 0, most),
    redis.call('SRANDMEMBER', K.endings(p), most), #retries,
  }
end)

-- last_call: the session expires soon and its phone has not come for what waits
-- KEYS[1] prefix   ARGV sid   answers 'ok' | 'kept'
register('last_call', function(keys, args)
  local p = keys[1]
  redis.call('ZREM', K.lastcalls(p), args[1])
  local s = load(p, args[1])
  if not s or s.state ~= ASLEEP or s.important <= s.important_acked then return 'kept' end
  raise_event(p, s, 'last-call', 'message')
  return 'ok'
end)
