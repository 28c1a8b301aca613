-- deliver: one stanza into one mailbox, by the rules of RFC 6121 section 8, whatever state its sessions are in; and what
-- the sender's mailbox keeps of it, in the same step
-- Keys: acct:{user}, res:{user}, s:{sid}, q:{sid}, back:{sid}, pres:{sid}, off:{user}, fan:{user}, fan, block:{user},
--       arch:{user}, o:{origin}:{digest of user} or j:{process}, ev, fates

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
      answer[3 * taken + 5], answer[3 * taken + 6], answer[3 * taken + 7] = s.sid, s.node, position
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

-- The stanza with its archive id (XEP-0359) behind its last child. `split`: bytes before its end tag. A bare JID holds
-- nothing that would have to be escaped (RFC 7622 section 3.3.1).
local function with_id(body, split, user, id)
  return string.sub(body, 1, split) .. "<stanza-id xmlns='urn:xmpp:sid:0' by='" .. user .. "' id='" .. id .. "'/>"
    .. string.sub(body, split + 1)
end

-- XEP-0280 section 6 and XEP-0297: a copy is no message of its own; it is never stored offline, bounced or copied.
local COPY = "<message from='%s' to='%s' type='%s'><%s xmlns='urn:xmpp:carbons:2'>"
  .. "<forwarded xmlns='urn:xmpp:forward:0'>%s</forwarded></%s></message>"

-- A stanza inside another element has to name its namespace, which in a stream is the default.
local function nested(body) return (string.gsub(body, '^<([^%s/>]+)', "<%1 xmlns='jabber:client'", 1)) end

-- A copy for one device, told behind what `answer` holds.
local function copy_for(p, s, user, way, type, flags, stamp, body, limits, answer)
  local jid, inner = redis.call('HGET', K.session(p, s.sid), 'jid'), nested(body)
  local position = put(p, s, 'c', flags, stamp, '', string.format(COPY, user, jid, type, way, inner, way), limits)
  if position then
    local n = #answer
    answer[n + 1], answer[n + 2], answer[n + 3] = s.sid, s.node, position
  end
end

-- Copies for the account's other devices that asked for them.
local function copy(p, user, way, type, flags, stamp, body, limits, except, answer)
  for _, sid in ipairs(redis.call('HVALS', K.resources(p, user))) do
    if not except[sid] and redis.call('HGET', K.session(p, sid), 'carbons') == '1' then
      local s = load(p, sid)
      if s and s.state ~= ENDING then copy_for(p, s, user, way, type, flags, stamp, body, limits, answer) end
    end
  end
end

-- Whether an account has blocked JIDs, something unread, and registrations for push: asked for each stanza, so all with
-- one command. (EXISTS counts a key as often as it is named.)
local function possessions(p, user)
  local unread, push = K.unread(p, user), K.registrations(p, user)
  local n = redis.call('EXISTS', K.blocked(p, user), unread, unread, push, push, push, push)
  return n % 2 == 1, n % 4 >= 2, n >= 4
end

-- What a message tells the sender's own mailbox, whether or not anybody takes it: that a conversation was looked at, or
-- a call answered. `args`: those of `deliver`; `read_all`: nothing is unread.
local function heed_sent(p, to, args, read_all)
  if not read_all then Unread.sent(p, args[15], to, args[9]) end
  if has(args[9], 'x') then Calls.answered(p, args[15], bare_of(to), args[12], args[14]) end
end

-- What the sender's own mailbox keeps of a message that was taken: the archive's copy, and carbons for other devices.
local function keep_sent(p, to, args, answer, read_all)
  local user, flags, body = args[15], args[9], args[12]
  heed_sent(p, to, args, read_all)
  local id = has(flags, 'a') and Archive.put(p, user, to, body)
  if has(flags, 'c') and redis.call('HLEN', K.resources(p, user)) > 1 then
    local marks = has(flags, 'h') and 'h' or ''
    if id then body = with_id(body, tonumber(args[16]), user, id) end
    local except = { [args[14]] = true }
    copy(p, user, 'sent', args[8], marks, id or tostring(now()), body, limits_of(args, 10), except, answer)
  end
end

local TAKEN = { ok = true, offline = true, dropped = true, duplicate = true }

local deliver

-- KEYS[1] prefix   KEYS[2] prefix of the sender's mailbox, if the sender has one here
-- ARGV user, resource, sender's full JID, origin session ('@…': the process, for what has no origin), its inbound
--      count, ms to remember it, kind, type, flags, queue limit, quota, stanza, and with KEYS[2] the session's epoch
--      ('' if it does not count its stanzas by XEP-0198), its id, its bare JID; then bytes before the stanza's end tag
-- answers {status, h is kept (1 or 0), archive id or '', n, sid, node, position, …}: the first n are those of the
--         stanza, the rest of copies; status 'ok' 'offline' 'dropped' 'duplicate' 'no-account' 'bounce' 'full'
--         'blocked-by-you', and 'stale' when another connection has the sender's session: it will send this again
register('deliver', function(keys, args)
  local p = keys[2]
  if not p then return deliver(keys, args) end
  local counts, user, to = args[13] ~= '', args[15], args[2] == '' and args[1] or args[1] .. '/' .. args[2]
  local sender, v, answer = K.session(p, args[14]), nil, nil
  if counts then
    v = redis.call('HMGET', sender, 'epoch', 'state', 'h')
    if v[1] ~= args[13] or v[2] == ENDING then return { 'stale', 0, '', 0 } end
  end
  if user == args[1] then
    answer = deliver(keys, args, args[14])
    if not TAKEN[answer[1]] then return answer end
  else
    local blocks, unread = possessions(p, user)
    if blocks and Blocking.blocks(p, user, to) then answer = { 'blocked-by-you', 0, '', 0 }
    else answer = deliver(keys, args, args[14]) end
    if not TAKEN[answer[1]] then
      if args[7] == 'm' then heed_sent(p, to, args, not unread) end
      return answer
    end
    if args[7] == 'm' and answer[1] ~= 'duplicate' then keep_sent(p, to, args, answer, not unread) end
  end
  if counts then answer[2] = keep_inbound(sender, tonumber(v[3]), tonumber(args[5])) end
  return answer
end)

-- `own_sid`: the sender's session, which gets no copy of what it sent to its own account.
deliver = function(keys, args, own_sid)
  local p, user, kind, flags, body, limits = keys[1], args[1], args[7], args[9], args[12], limits_of(args, 10)
  local targets, status = targets_of(p, user, args[2], kind, args[8])
  if #targets == 0 and redis.call('EXISTS', K.account(p, user)) == 0 then return { 'no-account', 0, '', 0 } end

  local origin = string.sub(args[4], 1, 1) == '@' and K.taken(p, args[4]) or K.origin(p, args[4], redis.sha1hex(user))
  local before = redis.call('SET', origin, args[5], 'PX', args[6], 'GET')
  if before and tonumber(before) >= tonumber(args[5]) then
    set_origin(origin, before, args[6])
    return { 'duplicate', 0, '', 0 }
  end
  local blocks, unread, push = possessions(p, user)
  if blocks and Blocking.blocks(p, user, args[3]) then
    if kind == 'm' or kind == 'q' then
      set_origin(origin, before, args[6])
      return { 'bounce', 0, '', 0 }
    end
    return { 'dropped', 0, '', 0 }
  end

  local answer, stamp, id = { 'ok', 0, '', 0 }, nil, nil
  if has(flags, 'a') then
    id = Archive.put(p, user, args[3], body)
    if id then
      answer[3], stamp, body = id, id, with_id(body, tonumber(args[16]), user, id)
    else
      flags = string.gsub(flags, 'a', '')
    end
  end
  stamp = stamp or tostring(now())
  if has(flags, 'u') and not Calls.proposed(p, user, bare_of(args[3]), body) then
    flags = string.gsub(flags, '[uw]', '')   -- kept, but nobody is woken for a call that is over
  end
  if #targets > 0 then
    status = put_each(p, targets, kind, flags, stamp, args[3], body, limits, answer)
  elseif status == 'store' then
    status = store(p, user, flags, stamp, body, limits)
  end
  if has(flags, 'x') then Calls.told(p, user, bare_of(args[3]), args[12], own_sid) end   -- whether or not there is room
  answer[1], answer[4] = status, math.floor((#answer - 4) / 3)
  if status == 'full' or status == 'bounce' then
    set_origin(origin, before, args[6])   -- refused, not taken: sent again it is judged anew
    if id then
      redis.call('XDEL', K.archive(p, user), id)
      answer[3] = ''
    end
  elseif kind == 'm' then
    fate(p, 'accepted', 1)
    if status == 'dropped' then fate(p, id and 'archived' or 'dropped', 1) end
    if push and has(flags, 'w') and (status ~= 'dropped' or id) then
      Unread.count(p, user, args[3], args[8], flags, stamp, args[12], args[2] ~= '' and targets[1] and targets[1].sid,
        not unread)
      if id and status ~= 'offline' then Push.archived(p, user, flags, id) end
    end
    if status == 'ok' and has(flags, 'c') and redis.call('HLEN', K.resources(p, user)) > 1 then
      local except = { [own_sid or ''] = true }
      for _, s in ipairs(targets) do except[s.sid] = true end
      local marks = string.gsub(flags, '[^wuh]', '')
      copy(p, user, 'received', args[8], marks, stamp, body, limits, except, answer)
    end
  end
  return answer
end
