-- The recent part of an account's message archive (XEP-0313); what is older a worker moves into SQL.
-- Keys: arch:{user} stream (w: the other party's bare JID, s: the stanza), archs set of accounts that have one,
--       acct:{user} (mam: the preference), mamp:{user} hash of JID -> 'always' or 'never'

do
  -- XEP-0441: what the account wants kept of its messages with this bare JID.
  local function is_wanted(p, user, with)
    local said = redis.call('HGET', K.archive_prefs(p, user), with)
    if said then return said == 'always' end
    local usual = redis.call('HGET', K.account(p, user), 'mam') or 'always'
    if usual == 'roster' then return Roster.subscription(p, user, with) ~= 'none' end
    return usual == 'always'
  end

  -- Keep a stanza. Answers its archive id 'ms-seq', which orders the archive, or nil if it is not wanted.
  function Archive.put(p, user, with, body)
    if not is_wanted(p, user, with) then return nil end
    local id = redis.call('XADD', K.archive(p, user), '*', 'w', with, 's', body)
    redis.call('SADD', K.archives(p), user)
    return id
  end

  -- Is the archive sure to have this id still?
  function Archive.holds(p, user, id)
    local pruned = redis.call('HGET', K.account(p, user), 'arch_pruned')
    return not pruned or Archive.is_after(id, pruned)
  end

  -- Of two ids 'ms-seq', is the first the later one?
  function Archive.is_after(a, b)
    local ams, aseq = string.match(a, '^(%d+)%-?(%d*)$')
    local bms, bseq = string.match(b, '^(%d+)%-?(%d*)$')
    ams, bms = tonumber(ams), tonumber(bms)
    if ams ~= bms then return ams > bms end
    return (tonumber(aseq) or 0) > (tonumber(bseq) or 0)
  end
end
