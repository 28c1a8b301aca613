-- The archive's operations: pages for clients (XEP-0313), preferences (XEP-0441), and the worker that moves what is
-- older into SQL.
-- Keys: those of 25_archive.lua, s:{sid} (arch_low, arch_high: what lies in (low, high] the client was shown;
--       arch_token: its last results), q:{sid}, archmv hash
--
-- At any moment an id lies either in the stream, beyond the mark arch_moved, or in SQL, not beyond it: the worker first
-- commits to SQL and then trims the stream and raises the mark in one step. So who reads stream and mark in one step,
-- and asks SQL only for ids up to that mark, finds each entry once.

do
  local function marks_of(p, user)
    local v = redis.call('HMGET', K.account(p, user), 'arch_moved', 'arch_pruned')
    return v[1] or '0-0', v[2] or '0-0'
  end

  -- Of an account that is disabled, or gone, nothing is moved or pruned.
  local function is_there(p, user)
    return redis.call('EXISTS', K.account(p, user)) == 1 and redis.call('SISMEMBER', K.archives(p), user) == 1
  end

  local function is_with(w, with, is_full)
    return with == '' or (is_full and w or bare_of(w)) == with
  end

  -- archive_page: entries of the recent part between two ids, in order or against it
  -- KEYS[1] prefix
  -- ARGV user, above, below (both excluded), '1' for backwards, most, bytes, with ('' = anybody)
  -- answers {arch_moved, arch_pruned, 'end' | 'more', the id up to which it looked, id, with, stanza, …}
  -- 'more': there may be others behind that id; 'end': the recent part has no others in that range
  register('archive_page', function(keys, args)
    local p, key, backwards = keys[1], K.archive(keys[1], args[1]), args[4] == '1'
    local mark, floor = marks_of(p, args[1])
    local low, high = Archive.later(Archive.later(args[2], mark), floor), args[3]
    local n, bytes, with = tonumber(args[5]), tonumber(args[6]), args[7]
    local is_full, looked, seen_bytes = string.find(with, '/', 1, true) ~= nil, 0, 0
    local answer = { mark, floor, 'end', backwards and high or low }
    while Archive.is_after(high, low) do
      local entries
      if backwards then entries = redis.call('XREVRANGE', key, '(' .. high, '(' .. low, 'COUNT', 50)
      else entries = redis.call('XRANGE', key, '(' .. low, '(' .. high, 'COUNT', 50) end
      for _, entry in ipairs(entries) do
        if n <= 0 or bytes <= 0 or looked >= PIECE or seen_bytes >= PIECE_BYTES then
          answer[3] = 'more'
          return answer
        end
        local w, body, at = entry[2][2], entry[2][4], #answer
        answer[4], looked, seen_bytes = entry[1], looked + 1, seen_bytes + #body
        if is_with(w, with, is_full) then
          answer[at + 1], answer[at + 2], answer[at + 3] = entry[1], w, body
          n, bytes = n - 1, bytes - #body
        end
      end
      if #entries < 50 then break end
      if backwards then high = answer[4] else low = answer[4] end
    end
    return answer
  end)

  -- archive_find: entries of the recent part by their ids   KEYS[1] prefix   ARGV user, id, …
  -- answers {arch_moved, arch_pruned, number of ids looked for, id, with, stanza, …}; ask again for the others
  register('archive_find', function(keys, args)
    local p, key, bytes = keys[1], K.archive(keys[1], args[1]), 0
    local mark, floor = marks_of(p, args[1])
    local answer = { mark, floor, 0 }
    for i = 2, #args do
      local found = Archive.is_after(args[i], floor) and redis.call('XRANGE', key, args[i], args[i])[1]
      if found then
        local at = #answer
        answer[at + 1], answer[at + 2], answer[at + 3] = found[1], found[2][2], found[2][4]
        bytes = bytes + #found[2][4]
      end
      answer[3] = i - 1
      if bytes >= PIECE_BYTES then break end
    end
    return answer
  end)

  -- archive_ends: KEYS[1] prefix   ARGV user
  -- answers {arch_moved, arch_pruned, first id of the recent part or '', its last id or '', its length, time (ms)}
  register('archive_ends', function(keys, args)
    local p, key = keys[1], K.archive(keys[1], args[1])
    local mark, floor = marks_of(p, args[1])
    local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
    local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
    return { mark, floor, first and first[1] or '', last and last[1] or '', redis.call('XLEN', key), now() }
  end)

  -- The client was shown everything in (low, high]. Stretches that touch are joined; of others the latest is kept, since
  -- what waits for a client is late. What lies in it need not be delivered again (62_offline.lua).
  local function shown(p, s, low, high)
    local key = K.session(p, s.sid)
    local v = redis.call('HMGET', key, 'arch_low', 'arch_high')
    if v[1] then
      if not Archive.is_after(low, v[2]) and not Archive.is_after(v[1], high) then
        low = Archive.is_after(low, v[1]) and v[1] or low
        high = Archive.later(high, v[2])
      elseif Archive.is_after(v[2], high) then
        return   -- a stretch of the past
      end
    end
    redis.call('HSET', key, 'arch_low', low, 'arch_high', high)
  end

  -- archive_results: the messages of one page go into the session's queue; the answer to the query follows them
  -- KEYS[1] prefix   ARGV sid, epoch, this page's name, queue limit, quota, low, high ('' = shows no whole stretch),
  --      result, …
  -- answers {'ok'} | {'stale'} | {'full', results for which there is room now}
  register('archive_results', function(keys, args)
    local p, limits, stamp = keys[1], limits_of(args, 4), tostring(now())
    local s = own(p, args[1], args[2])
    if not s then return { 'stale' } end
    local key = K.session(p, s.sid)
    if redis.call('HGET', key, 'arch_token') == args[3] then return { 'ok' } end   -- sent again by the journal
    local room = limits.queue - (s.tail - s.acked) - 1
    if #args - 7 > room then return { 'full', math.max(0, room) } end
    for i = 8, #args do put(p, s, 'r', '', stamp, '', args[i], limits) end
    redis.call('HSET', key, 'arch_token', args[3])
    if args[7] ~= '' then shown(p, s, args[6], args[7]) end
    return { 'ok' }
  end)

  -- archive_prefs: KEYS[1] prefix   ARGV user   answers {default, JID, 'always' | 'never', …}
  local function prefs(p, user)
    local said = redis.call('HGET', K.account(p, user), 'mam') or redis.call('GET', K.archive_default(p)) or 'always'
    return { said, unpack(redis.call('HGETALL', K.archive_prefs(p, user))) }
  end
  register('archive_prefs', function(keys, args) return prefs(keys[1], args[1]) end)

  -- archive_set_prefs: KEYS[1] prefix   ARGV user, default, JID, 'always' | 'never', …   answers as archive_prefs
  register('archive_set_prefs', function(keys, args)
    local p, user = keys[1], args[1]
    local key = K.archive_prefs(p, user)
    if redis.call('EXISTS', K.account(p, user)) == 0 then return { args[2] } end
    redis.call('DEL', key)
    if #args > 2 then redis.call('HSET', key, unpack(args, 3)) end
    redis.call('HSET', K.account(p, user), 'mam', args[2], 'mam_lists', #args > 2 and '1' or '0')
    return prefs(p, user)
  end)

  -- How many of the first `most` entries are to be moved: those beyond the number, and those that are too old.
  local function surplus(key, recent_ms, recent, entries)
    local beyond, oldest = redis.call('XLEN', key) - recent, now() - recent_ms
    for i, entry in ipairs(entries) do
      if i > beyond and tonumber(string.match(entry[1], '^%d+')) >= oldest then return i - 1 end
    end
    return #entries
  end

  -- archive_due: archives from which something is to be moved; a part of the bucket's accounts at a time
  -- KEYS[1] prefix   ARGV cursor ('0' begins), recent ms, recent messages, '1' for all accounts
  -- answers {cursor ('0' = that was all), account, …}
  register('archive_due', function(keys, args)
    local p = keys[1]
    local scanned = redis.call('SSCAN', K.archives(p), args[1], 'COUNT', 100)
    local answer = { scanned[1] }
    for _, user in ipairs(scanned[2]) do
      local key = K.archive(p, user)
      local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)
      if args[4] == '1' or surplus(key, tonumber(args[2]), tonumber(args[3]), first) > 0 then
        answer[#answer + 1] = user
      end
    end
    return answer
  end)

  local function lease_of(p, user)
    local said = redis.call('HGET', K.archive_moving(p), user)
    if not said then return nil end
    local until_ms, token = string.match(said, '^(%d+) (.*)$')
    if tonumber(until_ms) > now() then return token end
  end

  -- archive_take: the oldest entries, to be copied into SQL by this worker within the lease
  -- KEYS[1] prefix   ARGV user, worker's token, lease ms, recent ms, recent messages, most
  -- answers {'ok', id, with, stanza, …} | {'none'} | {'busy'}
  register('archive_take', function(keys, args)
    local p, user, key = keys[1], args[1], K.archive(keys[1], args[1])
    local holder = lease_of(p, user)
    if not is_there(p, user) then return { 'none' } end
    if holder and holder ~= args[2] then return { 'busy' } end
    local entries = redis.call('XRANGE', key, '-', '+', 'COUNT', math.min(tonumber(args[6]), PIECE))
    local n, bytes, answer = surplus(key, tonumber(args[4]), tonumber(args[5]), entries), 0, { 'ok' }
    for i = 1, n do
      local entry, at = entries[i], #answer
      answer[at + 1], answer[at + 2], answer[at + 3] = entry[1], entry[2][2], entry[2][4]
      bytes = bytes + #entry[2][4]
      if bytes >= PIECE_BYTES then break end
    end
    if n == 0 then return { 'none' } end
    redis.call('HSET', K.archive_moving(p), user, (now() + tonumber(args[3])) .. ' ' .. args[2])
    return answer
  end)

  -- archive_moved: SQL has everything up to that id: it leaves the stream, and readers look for it there
  -- KEYS[1] prefix   ARGV user, worker's token, id ('' = nothing was moved)   answers 'ok' | 'gone'
  register('archive_moved', function(keys, args)
    local p, user, upto = keys[1], args[1], args[3]
    if lease_of(p, user) == args[2] then redis.call('HDEL', K.archive_moving(p), user) end
    if upto == '' then return 'ok' end
    if not is_there(p, user) then return 'gone' end
    local mark = marks_of(p, user)
    if Archive.is_after(upto, mark) then
      redis.call('XTRIM', K.archive(p, user), 'MINID', '=', Archive.next(upto))
      redis.call('HSET', K.account(p, user), 'arch_moved', upto)
    end
    return 'ok'
  end)

  -- archive_prune: everything up to that id is gone, for retention   KEYS[1] prefix   ARGV user, id
  -- answers 'ok' | 'no' (it was gone already, or the account is)
  register('archive_prune', function(keys, args)
    local p, user, upto = keys[1], args[1], args[2]
    local _, floor = marks_of(p, user)
    if is_there(p, user) and Archive.is_after(upto, floor) then
      redis.call('XTRIM', K.archive(p, user), 'MINID', '=', Archive.next(upto))
      redis.call('HSET', K.account(p, user), 'arch_pruned', upto)
      return 'ok'
    end
    return 'no'
  end)

  -- archive_nth: the id of the nth entry of the recent part, or of the last one that was looked at
  -- KEYS[1] prefix   ARGV user, n   answers id or ''
  register('archive_nth', function(keys, args)
    local entries = redis.call('XRANGE', K.archive(keys[1], args[1]), '-', '+', 'COUNT', math.min(tonumber(args[2]), 200))
    return #entries > 0 and entries[#entries][1] or ''
  end)

  -- archive_removed: removed accounts whose rows are to be erased   KEYS[1] prefix   ARGV cursor
  -- answers {cursor ('0' = that was all), account, id up to which, …}
  register('archive_removed', function(keys, args)
    local scanned = redis.call('HSCAN', K.archive_removed(keys[1]), args[1], 'COUNT', 100)
    return { scanned[1], unpack(scanned[2]) }
  end)

  -- archive_erased: SQL holds no row of that account up to that id; kept in mind while a worker might still add one
  -- KEYS[1] prefix   ARGV user, id   answers 'ok' | 'later'
  register('archive_erased', function(keys, args)
    local p, user = keys[1], args[1]
    if lease_of(p, user) then return 'later' end
    redis.call('HDEL', K.archive_moving(p), user)
    if redis.call('HGET', K.archive_removed(p), user) == args[2] then
      redis.call('HDEL', K.archive_removed(p), user)
    end
    return 'ok'
  end)
end
