-- deliver: one stanza into one mailbox, by the rules of RFC 6121 section 8, whatever state its sessions are in
-- Keys: acct:{user}, res:{user}, s:{sid}, q:{sid}, back:{sid}, pres:{sid}, off:{user}, fan:{user}, o:{origin}:{user}, ev, fates

-- Store offline (XEP-0160), within the quota. Answers 'offline' | 'full' | 'dropped'.
local function store(p, user, flags, stamp, body, limits)
  if not has(flags, 's') then
    fate(p, 'accepted', 1)
    fate(p, 'dropped', 1)
    return 'dropped'
  end
  local key = K.offline(p, user)
  if redis.call('LLEN', key) >= limits.quota then return 'full' end
  redis.call('RPUSH', key, encode('m', flags, stamp, '', body))
  fate(p, 'accepted', 1)
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
  if kind == 'p' then return available(p, user, ''), 'dropped' end
  if kind ~= 'm' then return {}, kind == 'q' and 'bounce' or 'dropped' end
  if type == 'groupchat' then return {}, 'bounce' end
  if type == 'error' then return {}, 'dropped' end
  return available(p, user, ''), type == 'headline' and 'dropped' or 'store'
end

-- KEYS[1] prefix
-- ARGV user, resource, sender's full JID, origin session, its inbound count, ms to remember it, kind, type, flags,
--      queue limit, quota, stanza
-- answers {status, sid, node, position, …}: 'ok' 'offline' 'dropped' 'duplicate' 'no-account' 'bounce' 'full'
register('deliver', function(keys, args)
  local p, user, kind, flags, body, limits = keys[1], args[1], args[7], args[9], args[12], limits_of(args, 10)
  if redis.call('EXISTS', K.account(p, user)) == 0 then return { 'no-account' } end
  local origin = args[4] ~= '' and K.origin(p, args[4], user)
  if origin then
    local taken = redis.call('GET', origin)
    if taken and tonumber(taken) >= tonumber(args[5]) then return { 'duplicate' } end
  end

  local stamp = now()
  local targets, otherwise = targets_of(p, user, args[2], kind, args[8])
  local answer, taken, why = { 'ok' }, 0, otherwise
  local fan = ''
  if kind == 'm' and #targets > 1 then fan = tostring(redis.call('HINCRBY', K.account(p, user), 'fan_ids', 1)) end
  for _, s in ipairs(targets) do
    local position, refusal
    if kind == 'p' then position = put_presence(p, s, stamp, args[3], body, limits)
    else position, refusal = put(p, s, kind, flags, stamp, fan, body, limits) end
    if position then
      taken = taken + 1
      local n = #answer
      answer[n + 1], answer[n + 2], answer[n + 3] = s.sid, s.node, position
    else
      why = refusal
    end
  end
  if taken > 0 then
    if kind == 'm' then
      fate(p, 'accepted', 1)
      if fan ~= '' then redis.call('HSET', K.fanout(p, user), fan, taken) end
    end
  else
    if why == 'store' then why = store(p, user, flags, stamp, body, limits)
    elseif why == 'dropped' and kind == 'm' then
      fate(p, 'accepted', 1)
      fate(p, 'dropped', 1)
    end
    answer = { why }
  end
  if origin and why ~= 'full' and answer[1] ~= 'bounce' then redis.call('SET', origin, args[5], 'PX', args[6]) end
  return answer
end)
