-- The recent part of an account's message archive (XEP-0313); what is older a worker moves into SQL (42_archive.lua).
-- Keys: arch:{user} stream (w: the other party, full or bare JID; s: the stanza), archs set of accounts that have one,
--       acct:{user} (mam: the preference; mam_lists: '1' if there are lists; arch_moved: ids up to it are in SQL only;
--       arch_pruned: ids up to it are gone), mamp:{user} hash of JID -> 'always' or 'never', archdef string, archrm hash

do
  local MOST_SEQ = 1048575   -- in SQL an id is one number, with 20 bits for the second part

  local function parts(id)
    local ms, seq = string.match(id, '^(%d+)%-?(%d*)$')
    return tonumber(ms), tonumber(seq) or 0
  end

  local function text(ms, seq) return string.format('%.0f-%.0f', ms, seq) end

  -- Of two ids 'ms-seq', is the first the later one?
  function Archive.is_after(a, b)
    local ams, aseq = parts(a)
    local bms, bseq = parts(b)
    if ams ~= bms then return ams > bms end
    return aseq > bseq
  end

  function Archive.later(a, b) return Archive.is_after(a, b) and a or b end

  function Archive.next(id)
    local ms, seq = parts(id)
    if seq >= MOST_SEQ then return text(ms + 1, 0) end
    return text(ms, seq + 1)
  end

  local function before(id)
    local ms, seq = parts(id)
    if seq > 0 then return text(ms, seq - 1) end
    return text(ms - 1, MOST_SEQ)
  end

  -- XEP-0441 section 2.4: what the account wants kept of its messages with this JID, which may be a full one.
  -- `said`, `lists`: its preference, and '1' if there are lists, as the account's hash has them.
  local function is_wanted(p, user, with, said, lists)
    if lists == '1' then
      local listed = redis.call('HMGET', K.archive_prefs(p, user), with, bare_of(with))
      if listed[1] or listed[2] then return (listed[1] or listed[2]) == 'always' end
    end
    local usual = said or redis.call('GET', K.archive_default(p)) or 'always'
    if usual == 'roster' then return redis.call('HEXISTS', K.roster(p, user), bare_of(with)) == 1 end
    return usual == 'always'
  end

  -- The account's first entry. What SQL may still hold of a former account of this name lies before it, and is no part
  -- of this archive.
  local function begin(p, user, id, with, body)
    local key = K.archive(p, user)
    if redis.call('EXISTS', K.account(p, user)) == 0 then   -- removed, while a session of it was about to send
      redis.call('UNLINK', key)
      redis.call('SREM', K.archives(p), user)
      return nil
    end
    local removed = redis.call('HGET', K.archive_removed(p), user)
    if removed and not Archive.is_after(id, removed) then   -- the clock was set back
      redis.call('XDEL', key, id)
      id = redis.call('XADD', key, Archive.next(removed), 'w', with, 's', body)
    end
    redis.call('HSET', K.account(p, user), 'arch_pruned', before(id))
    return id
  end

  -- Keep a stanza. Answers its archive id 'ms-seq', which orders the archive, or nil if it is not wanted.
  function Archive.put(p, user, with, body)
    local v = redis.call('HMGET', K.account(p, user), 'mam', 'mam_lists', 'arch_pruned')
    if not is_wanted(p, user, with, v[1], v[2]) then return nil end
    local id = redis.call('XADD', K.archive(p, user), '*', 'w', with, 's', body)
    -- An account has `arch_pruned` from its first entry on (see `begin`), so the set need not be asked each time.
    if not v[3] and redis.call('SADD', K.archives(p), user) == 1 then return begin(p, user, id, with, body) end
    return id
  end

  -- Is the archive sure to have this id still?
  function Archive.holds(p, user, id)
    local pruned = redis.call('HGET', K.account(p, user), 'arch_pruned')
    return not pruned or Archive.is_after(id, pruned)
  end

  -- The latest id that the archive ever gave, also if its entry is gone.
  function Archive.latest(p, user)
    local key = K.archive(p, user)
    if redis.call('EXISTS', key) == 0 then return '0-0' end
    local info = redis.call('XINFO', 'STREAM', key)
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then return info[i + 1] end
    end
  end

  -- The account goes: nothing of its archive can be read from here on; what lies in SQL a worker erases.
  function Archive.remove(p, user)
    if redis.call('SREM', K.archives(p), user) == 1 then
      redis.call('HSET', K.archive_removed(p), user, Archive.latest(p, user))
    end
    redis.call('UNLINK', K.archive(p, user), K.archive_prefs(p, user))
  end
end
