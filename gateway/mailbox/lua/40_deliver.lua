-- deliver: one stanza into one mailbox, by the rules of RFC 6121 section 8, whatever state its sessions are in
-- Keys: acct:{user}, res:{user}, s:{sid}, q:{sid}, back:{sid}, pres:{sid}, off:{user}, fan:{user}, fan,
--       o:{origin}:{user} or j:{process}, ev, fates

-- Store offline (XEP-0160), within the quota. Answers 'offline' | 'full' | 'dropped'.
local function store(p, user, flags, stamp, body, limits)
  if not has(flags, 's') then return 'dropped' end
  local key = K.offline(p, user)
  if redis.call('LLEN', key) >= limits.quota then return 'full' end
  redis.call('RPUSH', key, encode('m', flags, stamp, '', body))
  if has(flags, 'w') then
    redis.call('HINCRBY', K.account(p, user), 'offline_important', 1)
    raise_offline_event(p, user, 'offline', has(flags, 'u') and 'call' or 'message')
  end
  return 'offline'
end

-- Which sessions take it (RFC 6121 section 8.5), and what happens when none does.
local function targets_of(p, user, resource, kind, type)
  if resource ~= '' then
    local sid = redis.call('HGET', K.resources(p, user), resource)
    local s = sid and load(p, sid)
    if s and s.state ~= ENDING then return { s } end
    -- 8.5.3.2: a chat or normal message to a resource that is gone is meant for the person
    if kind == 'q' or type == 'groupchat' then return {}, 'bounce' end
    if kind ~= 'm' or type == 'headline' or type == 'error' then return {}, 'dropped' end
  end
  if kind == 'p' then return available(p, user, '', true), 'dropped' end
  if kind ~= 'm' then return {}, kind == 'q' and 'bounce' or 'dropped' end
  if type == 'groupchat' then return {}, 'bounce' end
  if type == 'error' then return {}, 'dropped' end
  return available(p, user, ''), type == 'headline' and 'dropped' or 'store'
end

-- An entry in each chosen session, told in `answer`. Answers why none took it, or 'ok'.
local function put_each(p, targets, kind, flags, stamp, from, body, limits, answer)
  local taken, why = 0, nil
  local fan = kind == 'm' and fan_of(p, #targets) or ''
  for _, s in ipairs(targets) do
    local position, refusal
    if kind == 'p' then position = put_presence(p, s, stamp, from, body, limits)
    else position, refusal = put(p, s, kind, flags, stamp, fan, body, limits) end
    if position then
      answer[3 * taken + 3], answer[3 * taken + 4], answer[3 * taken + 5] = s.sid, s.node, position
      taken = taken + 1
    else
      why = refusal
    end
  end
  if taken == 0 then return why end
  if fan ~= '' then note_copies(p, targets[1].user, fan, taken) end
  return 'ok'
end

local function set_origin(origin, count, keep)
  if count then redis.call('SET', origin, count, 'PX', keep) else redis.call('DEL', origin) end
end

-- What <resumed h/> tells has to be exact: a client whose h is behind what was taken may send something else under the
-- counts in between, and counts alone cannot tell that from a message sent again. So the delivery itself moves h.
-- Answers 1 if h covers `count` now.
local function keep_inbound(sender, h, count)
  if h == count - 1 then redis.call('HSET', sender, 'h', count) end
  return h >= count - 1 and 1 or 0
end

local deliver

-- KEYS[1] prefix   KEYS[2] prefix of the sender's mailbox, if the sender's session counts its stanzas (XEP-0198)
-- ARGV user, resource, sender's full JID, origin session ('@…': the process, for what has no origin), its inbound
--      count, ms to remember it, kind, type, flags, queue limit, quota, stanza, and with KEYS[2] the session's epoch
-- answers {status, h is kept (1 or 0), sid, node, position, …}: 'ok' 'offline' 'dropped' 'duplicate' 'no-account'
--         'bounce' 'full', and 'stale' when another connection has the sender's session: it will send this again
register('deliver', function(keys, args)
  if not keys[2] then return deliver(keys, args) end
  local sender = K.session(keys[2], args[4])
  local v = redis.call('HMGET', sender, 'epoch', 'state', 'h')
  if v[1] ~= args[13] or v[2] == ENDING then return { 'stale', 0 } end
  local answer = deliver(keys, args)
  local status = answer[1]
  if status == 'ok' or status == 'offline' or status == 'dropped' or status == 'duplicate' then
    answer[2] = keep_inbound(sender, tonumber(v[3]), tonumber(args[5]))
  end
  return answer
end)

deliver = function(keys, args)
  local p, user, kind, flags, body, limits = keys[1], args[1], args[7], args[9], args[12], limits_of(args, 10)
  local targets, status = targets_of(p, user, args[2], kind, args[8])
  if #targets == 0 and redis.call('EXISTS', K.account(p, user)) == 0 then return { 'no-account', 0 } end

  local origin = string.sub(args[4], 1, 1) == '@' and K.taken(p, args[4]) or K.origin(p, args[4], user)
  local before = redis.call('SET', origin, args[5], 'PX', args[6], 'GET')
  if before and tonumber(before) >= tonumber(args[5]) then
    set_origin(origin, before, args[6])
    return { 'duplicate', 0 }
  end

  local answer, stamp = { 'ok', 0 }, now()
  if #targets > 0 then
    status = put_each(p, targets, kind, flags, stamp, args[3], body, limits, answer)
  elseif status == 'store' then
    status = store(p, user, flags, stamp, body, limits)
  end
  answer[1] = status
  if status == 'full' or status == 'bounce' then
    set_origin(origin, before, args[6])   -- refused, not taken: sent again it is judged anew
  elseif kind == 'm' then
    fate(p, 'accepted', 1)
    if status == 'dropped' then fate(p, 'dropped', 1) end
  end
  return answer
end
