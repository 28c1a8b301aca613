-- Presence between accounts (RFC 6121 section 4): somebody's comes to a contact's mailbox, and the contact's is the answer
-- Keys: those of 65_presence.lua, of each contact

do

-- Somebody's presence comes to a contact, and the contact's presence is the answer (sections 4.2.3, 4.3). `who`: {full
-- JID, bare JID, PEP nodes they want, session that is not told, time}. Presence `stanza` ('' = none) is told in
-- `placed`; to who `asks` the contact's is told in `shown` (full JID, stanza, …), last items in `events` (name, event, …).
-- The contact does not block them. Answers 'ok' | 'refused' (asked, but no subscription lets them see).
local function meet(p, contact, who, stanza, asks, limits, placed, shown, events)
  local sessions = Presence.present(p, contact)
  if stanza ~= '' then Presence.put(p, contact, who[4], who[5], who[1], stanza, limits, placed, sessions) end
  if not asks then return 'ok' end
  local subscription = Roster.subscription(p, contact, who[2])
  if subscription ~= 'from' and subscription ~= 'both' then return 'refused' end
  Presence.of(p, contact, who[2], false, sessions, shown)
  if who[3] ~= '' and Pubsub.last_items then
    for _, item in ipairs(Pubsub.last_items(p, contact, contact, who[1], who[2], who[3])) do
      events[#events + 1], events[#events + 2] = item[1], item[2]
    end
  end
  return 'ok'
end

-- meet: one contact
-- KEYS[1] prefix
-- ARGV contact, who comes (full JID), their bare JID, stanza ('' = only asks), '1' if they ask, PEP nodes they want,
--      session that is not told, queue limit, quota
-- answers {'ok' | 'refused' (asked, but no subscription lets them see) | 'blocked', {sid, node, position, …},
--         {full JID, stanza, …}, {name, event, …}}
register('meet', function(keys, args)
  local who, placed, shown, events = { args[2], args[3], args[6], args[7], now() }, {}, {}, {}
  if Blocking.blocks(keys[1], args[1], args[2]) then return { 'blocked', placed, shown, events } end
  local status = meet(keys[1], args[1], who, args[4], args[5] == '1', limits_of(args, 8), placed, shown, events)
  return { status, placed, shown, events }
end)

-- Into a session's queue: kind, name, stanza, … Answers the stanzas, if just these are at its last positions; none if
-- they had to wait.
local function receive(p, s, stamp, list, limits)
  local n, entries, stanzas = #list / 3, {}, {}
  if n <= PIECE and takes_at_once(s, n, limits) then
    for i = 1, n do
      stanzas[i] = list[3 * i]
      entries[i] = encode(list[3 * i - 2], '', stamp, '', stanzas[i])
    end
    redis.call('RPUSH', K.queue(p, s.sid), unpack(entries))   -- all at once: a login brings one per contact
    s.tail = s.tail + n
    redis.call('HSET', K.session(p, s.sid), 'tail', s.tail)
  else
    for i = 1, #list, 3 do put_aside(p, s, list[i], stamp, list[i + 1], list[i + 2], limits) end
  end
  return stanzas
end

-- Does any of several accounts, each with its prefix, block somebody? Hardly ever; asked for all at once it costs little.
local function any_blocks(prefixes, users)
  local lists = {}
  for i = 1, #users do lists[i] = K.blocked(prefixes[i], users[i]) end
  return redis.call('EXISTS', unpack(lists)) > 0
end

local function append(answers, kind, list)   -- {name, stanza, …} to {kind, name, stanza, …}
  for i = 1, #list, 2 do
    local n = #answers
    answers[n + 1], answers[n + 2], answers[n + 3] = kind, list[i], list[i + 1]
  end
end

local function bytes_of(list, first)   -- of the stanzas of {name, stanza, …}
  local bytes = 0
  for i = first + 1, #list, 2 do bytes = bytes + #list[i] end
  return bytes
end

-- One contact after another, as the same number of `meet`s would, without what each of those costs besides: who logs in
-- meets the whole roster. Stops after a piece. `contacts` are args[at], how each is met (t: is told, a: is asked) behind
-- its name. Answers {number of sessions told, of each contact that was met}, {sid, node, position, …}, {contact that
-- refused, …}, {kind, name, stanza, …: what contacts answered}.
local function meet_each(prefixes, who, said, limits, args, at)
  local contacts, start = {}, string.match(said, '^<[^%s/>]+()')
  local head, rest = string.sub(said, 1, start - 1) .. " to='", "'" .. string.sub(said, start)
  for i = 1, #prefixes do contacts[i] = args[at + 2 * i - 2] end
  local may_block, told, placed, refused = any_blocks(prefixes, contacts), {}, {}, {}
  local shown, events, bytes = {}, {}, 0
  for i = 1, #contacts do
    local contact, how, before, n, m = contacts[i], args[at + 2 * i - 1], #placed, #shown, #events
    local stanza = how ~= 'a' and head .. contact .. rest or ''
    if not (may_block and Blocking.blocks(prefixes[i], contact, who[1])) then
      local status = meet(prefixes[i], contact, who, stanza, how ~= 't', limits, placed, shown, events)
      if status == 'refused' then refused[#refused + 1] = contact end
    end
    told[i] = (#placed - before) / 3
    bytes = bytes + told[i] * #stanza + bytes_of(shown, n + 1) + bytes_of(events, m + 1)
    if bytes >= PIECE_BYTES then break end
  end
  local answers = {}
  append(answers, 'p', shown)
  append(answers, 'e', events)
  return told, placed, refused, answers
end

-- meet_all: many contacts; what they answer goes into the session's queue. After a piece come again with the others.
-- KEYS[i] prefix of the contact number i; behind them the session's
-- ARGV sid, epoch, who comes (full JID), their bare JID, stanza without `to`, PEP nodes they want, queue limit, quota,
--      then of each contact JID, 't' (is told) | 'a' (is asked) | 'ta'
-- answers {{number of sessions told, of each contact that was met}, {sid, node, position, …}, {contact that refused, …},
--         tail of the session (0: as it was), {stanza at its last positions, …}}
register('meet_all', function(keys, args)
  local p, limits, stamp = table.remove(keys), limits_of(args, 7), tostring(now())
  local who = { args[3], args[4], args[6], '', stamp }
  local told, placed, refused, answers = meet_each(keys, who, args[5], limits, args, 9)
  local s = #answers > 0 and own(p, args[1], args[2])
  local stanzas = s and receive(p, s, stamp, answers, limits) or {}
  return { told, placed, refused, s and visible(s) or 0, stanzas }
end)

-- meet_some: contacts of one slot; what they answer is the caller's to `receive`
-- KEYS[1] prefix of them all   ARGV who comes (full JID), their bare JID, stanza without `to`, PEP nodes they want, queue
--      limit, quota, contacts as for `meet_all`
-- answers as `meet_all`, at the end {kind, name, stanza, …} instead of what has been received
register('meet_some', function(keys, args)
  local prefixes, who = {}, { args[1], args[2], args[4], '', tostring(now()) }
  for i = 1, (#args - 6) / 2 do prefixes[i] = keys[1] end
  return { meet_each(prefixes, who, args[3], limits_of(args, 5), args, 7) }
end)

-- receive: what others answered to a session's probe
-- KEYS[1] prefix   ARGV sid, epoch, queue limit, quota, then kind, name, stanza, …   answers {tail, {stanza at the last
--      positions, …}} | {0, {}} (stale)
register('receive', function(keys, args)
  local s = own(keys[1], args[1], args[2])
  if not s then return { 0, {} } end
  local stanzas = receive(keys[1], s, now(), { unpack(args, 5) }, limits_of(args, 3))
  return { visible(s), stanzas }
end)

end
