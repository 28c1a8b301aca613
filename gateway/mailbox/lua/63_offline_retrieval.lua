-- Flexible offline message retrieval (XEP-0013): a client looks at what waits for it, and says itself what may go.
-- Keys: off:{user} list, res:{user}, s:{sid} (selective: its client retrieves by itself; offline_request), acct:{user}
--       (offline_*), fates

do

local STEP = 20   -- entries read in one go

-- The name of an entry, the same for as long as it waits: its archive id, or its time and what it is.
local function node_of(entry)
  local _, _, stamp = decode(entry)
  if string.find(stamp, '-', 1, true) then return stamp end
  return stamp .. '-' .. string.sub(redis.sha1hex(entry), 1, 12)
end

local function start_tag(entry)
  local _, _, _, _, first = decode(entry)
  local at, quote = first, nil
  repeat
    at, quote = string.match(entry, '()([\'">])', at)
    if quote == '>' or not quote then break end
    at = string.find(entry, quote, at + 1, true) + 1
  until false
  return string.sub(entry, first, at)
end

-- From now on this session gets what waits only if it asks (XEP-0013 section 3.2).
local function note_selective(p, user, resource)
  local sid = redis.call('HGET', K.resources(p, user), resource)
  local s = sid and load(p, sid)
  if not s or s.state == ENDING then return nil end
  redis.call('HSET', K.session(p, sid), 'selective', '1')
  return s
end

-- offline_list: what waits, from an index on, oldest first
-- KEYS[1] prefix   ARGV user, resource, index, most, '1' whole entries or '0' start tags alone, queue limit, quota
-- answers {number waiting, index to go on at (0: no more), node, entry or tag, …}
register('offline_list', function(keys, args)
  local p, user, at, left = keys[1], args[1], tonumber(args[3]), tonumber(args[4])
  note_selective(p, user, args[2])
  settle_endings(p, user, limits_of(args, 6))
  local key, bytes = K.offline(p, user), 0
  local total = redis.call('LLEN', key)
  local answer = { total, 0 }
  while left > 0 and at < total and bytes < PIECE_BYTES do
    for _, entry in ipairs(redis.call('LRANGE', key, at, at + math.min(left, STEP) - 1)) do
      local shown = args[5] == '1' and entry or start_tag(entry)
      answer[#answer + 1], answer[#answer + 2] = node_of(entry), shown
      at, left, bytes = at + 1, left - 1, bytes + #entry
      if bytes >= PIECE_BYTES then break end
    end
  end
  if at < total then answer[2] = at end
  return answer
end)

-- offline_find: entries by their nodes, from an index on   KEYS[1] prefix
-- ARGV user, index, '1' whole entries or '0' nothing of them, node, …
-- answers {index to go on at (0: no more), index, node, entry or '', …}
register('offline_find', function(keys, args)
  local key, at, wanted, answer = K.offline(keys[1], args[1]), tonumber(args[2]), {}, { 0 }
  for i = 4, #args do wanted[args[i]] = true end
  local total, last, bytes = redis.call('LLEN', key), at + PIECE, 0
  while at < total do
    if at >= last or bytes >= PIECE_BYTES then
      answer[1] = at
      break
    end
    for _, entry in ipairs(redis.call('LRANGE', key, at, at + STEP - 1)) do
      local node = node_of(entry)
      if wanted[node] then
        local n = #answer
        answer[n + 1], answer[n + 2], answer[n + 3] = at, node, args[3] == '1' and entry or ''
      end
      at, bytes = at + 1, bytes + #entry
    end
  end
  return answer
end)

-- offline_remove: the client is done with these; all of them or none
-- KEYS[1] prefix   ARGV user, resource, this request's name, index, node, …
-- answers 'ok' | 'moved' (one of them is not, or no more, at its index)
register('offline_remove', function(keys, args)
  local p, user = keys[1], args[1]
  local s = note_selective(p, user, args[2])
  local session = s and K.session(p, s.sid)
  if session and redis.call('HGET', session, 'offline_request') == args[3] then return 'ok' end
  local key, woken, gone = K.offline(p, user), 0, 'gone'
  for i = 4, #args, 2 do
    local entry = redis.call('LINDEX', key, args[i])
    if not entry or node_of(entry) ~= args[i + 1] then return 'moved' end
    local _, flags = decode(entry)
    if has(flags, 'w') then woken = woken + 1 end
  end
  local count = (#args - 3) / 2
  for i = 4, #args, 2 do redis.call('LSET', key, args[i], gone) end
  redis.call('LREM', key, count, gone)
  if session then redis.call('HSET', session, 'offline_request', args[3]) end
  fate(p, 'acked', count)   -- taken off the store by its client's word, which is what an acknowledgement is
  forget_important(p, user, woken)
  return 'ok'
end)

-- offline_purge: nothing of it is wanted any more
-- KEYS[1] prefix   ARGV user, resource, this request's name, queue limit, quota   answers 'ok'
register('offline_purge', function(keys, args)
  local p, user = keys[1], args[1]
  local s = note_selective(p, user, args[2])
  local session = s and K.session(p, s.sid)
  -- sent again after a lost connection it would take what has come since
  if session and redis.call('HGET', session, 'offline_request') == args[3] then return 'ok' end
  if session then redis.call('HSET', session, 'offline_request', args[3]) end
  settle_endings(p, user, limits_of(args, 4))
  local key = K.offline(p, user)
  fate(p, 'acked', redis.call('LLEN', key))
  redis.call('UNLINK', key)
  forget_important(p, user, 0)
  return 'ok'
end)

end
