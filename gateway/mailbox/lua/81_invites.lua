-- Accounts that people make themselves (XEP-0077), and invitations to (XEP-0445).
-- Keys: inv:{digest of token} hash (inviter, name: the account it is for, roster, expires, claimed, claimed_at,
--       claimed_by), invs:{inviter} zset digest -> expiry, resv:{user} string: digest of the invitation that has the
--       name; tries:{whose} string; acct:{user}, dis:{user}, accts
--
-- An invitation lives in its inviter's bucket, so that it goes with the inviter's account in one step; the account that
-- it makes mostly lives in another. So it is claimed, the account is made, and then it is used up. A claim whose process
-- died lapses; whether its account was made, the account itself tells (`invite`).

do
  local LATE = 3600000    -- ms: an invitation shown in time may be used for so long after its expiry (XEP-0445 section 4)
  local LAPSE = 60000     -- ms: after it a claim is taken for abandoned

  local function forget(p, inviter, digest)
    redis.call('DEL', K.invite(p, digest))
    redis.call('ZREM', K.invites(p, inviter), digest)
  end

  -- invite_make: the oldest of the same inviter go when there are too many; an operator's have none ('')
  -- KEYS[1] prefix   ARGV inviter, digest, name ('' = free to choose), become contacts ('1' or '0'), ms, most
  -- answers 'ok' | 'no-account'
  register('invite_make', function(keys, args)
    local p, inviter, at = keys[1], args[1], now()
    if inviter ~= '' and redis.call('EXISTS', K.account(p, inviter)) == 0 then return 'no-account' end
    local list, invite, expires = K.invites(p, inviter), K.invite(p, args[2]), at + tonumber(args[5])
    if redis.call('EXISTS', invite) == 1 then return 'ok' end   -- sent again after a lost connection
    redis.call('ZREMRANGEBYSCORE', list, '-inf', at)
    while redis.call('ZCARD', list) >= tonumber(args[6]) do forget(p, inviter, redis.call('ZRANGE', list, 0, 0)[1]) end
    redis.call('ZADD', list, expires, args[2])
    if redis.call('PEXPIRETIME', list) < expires then redis.call('PEXPIREAT', list, string.format('%d', expires)) end
    redis.call('HSET', invite, 'inviter', inviter, 'name', args[3], 'roster', args[4], 'expires', expires)
    redis.call('PEXPIREAT', invite, string.format('%d', expires + LATE))
    return 'ok'
  end)

  -- invite_look: is it good?   KEYS[1] prefix   ARGV digest   answers false | {inviter, name, roster}
  register('invite_look', function(keys, args)
    local v = redis.call('HMGET', K.invite(keys[1], args[1]), 'inviter', 'name', 'roster', 'expires')
    if not v[4] or tonumber(v[4]) <= now() then return false end
    return { v[1], v[2], v[3] }
  end)

  -- invite_claim: an account is about to be made by it   KEYS[1] prefix
  -- ARGV digest, account, name of this claim, name of an abandoned claim that made no account ('' = none known)
  -- answers {'ok', inviter, roster} | {'gone'} | {'busy'} | {'abandoned', its account, its name}
  register('invite_claim', function(keys, args)
    local key, at = K.invite(keys[1], args[1]), now()
    local v = redis.call('HMGET', key, 'inviter', 'name', 'roster', 'claimed', 'claimed_at', 'claimed_by')
    if not v[1] or v[2] ~= '' and v[2] ~= args[2] then return { 'gone' } end
    if v[4] and v[4] ~= args[3] and v[4] ~= args[4] then
      if tonumber(v[5]) + LAPSE > at then return { 'busy' } end
      return { 'abandoned', v[6], v[4] }
    end
    redis.call('HSET', key, 'claimed', args[3], 'claimed_at', at, 'claimed_by', args[2])
    return { 'ok', v[1], v[3] }
  end)

  -- invite_release: no account was made   KEYS[1] prefix   ARGV digest, name of the claim   answers 1 | 0
  register('invite_release', function(keys, args)
    local key = K.invite(keys[1], args[1])
    if redis.call('HGET', key, 'claimed') ~= args[2] then return 0 end
    redis.call('HDEL', key, 'claimed', 'claimed_at', 'claimed_by')
    return 1
  end)

  -- invite_used: it has its account, or is taken back   KEYS[1] prefix   ARGV digest   answers 'ok'
  register('invite_used', function(keys, args)
    local inviter = redis.call('HGET', K.invite(keys[1], args[1]), 'inviter')
    if inviter then forget(keys[1], inviter, args[1]) end
    return 'ok'
  end)

  -- reserve: the name is for whoever has this invitation   KEYS[1] prefix   ARGV account, digest, ms
  -- answers 'ok' | 'conflict'
  register('reserve', function(keys, args)
    local p, user, key = keys[1], args[1], K.reserved(keys[1], args[1])
    if redis.call('EXISTS', K.account(p, user), K.disabled(p, user)) > 0 then return 'conflict' end
    local holder = redis.call('GET', key)
    if holder and holder ~= args[2] then return 'conflict' end
    redis.call('SET', key, args[2], 'PX', string.format('%d', tonumber(args[3]) + LATE))
    return 'ok'
  end)

  -- enroll: somebody makes an account in-band
  -- KEYS[1] prefix   ARGV account, digest of the invitation ('' = none), this request's name, field, value, …
  -- answers 'ok' | 'conflict'
  register('enroll', function(keys, args)
    local p, user = keys[1], args[1]
    if redis.call('EXISTS', K.disabled(p, user)) == 1 then return 'conflict' end
    local key = K.account(p, user)
    local request = redis.call('HGET', key, 'request')
    if request then return request == args[3] and 'ok' or 'conflict' end
    local holder = redis.call('GET', K.reserved(p, user))
    if holder and holder ~= args[2] then return 'conflict' end
    make_account(p, user, args[3], { unpack(args, 4) })
    if args[2] ~= '' then redis.call('HSET', key, 'invite', args[2]) end
    return 'ok'
  end)

  -- admit: one more try of an in-band registration
  -- KEYS[1] prefix   ARGV address, most of one address, most of all, ms   answers 'ok' | 'later'
  register('admit', function(keys, args)
    local p, verdict = keys[1], 'ok'
    for i, whose in ipairs({ args[1], 'all' }) do
      local key = K.tries(p, whose)
      local n = redis.call('INCR', key)
      if n == 1 then redis.call('PEXPIRE', key, args[4]) end
      if n > tonumber(args[i + 1]) then verdict = 'later' break end   -- what is turned away is not counted for all
    end
    return verdict
  end)
end
