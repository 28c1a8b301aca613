-- What an operator does with accounts (XEP-0133): disable them, end their sessions, see who is there.
-- Keys: acct:{user} hash, or of a disabled account dis:{user}; accts and disd sets; those of a session's end
--
-- Everything that asks for an account asks whether acct:{user} exists. So a disabled one, whose hash has another name,
-- cannot be told from one that is not there: neither by whoever writes to it, nor by any operation yet to come.

do
  -- Sessions begin their end; told as sid, node in `answer`, and in `placed` what the account's others got by it.
  local function end_each(p, user, resource, except, how, args, answer, placed)
    local limits = limits_of(args, 4)
    local all = redis.call('HGETALL', K.resources(p, user))
    for i = 1, #all, 2 do
      local s = (resource == '' or resource == all[i]) and all[i + 1] ~= except and load(p, all[i + 1])
      if s and s.state ~= ENDING then
        answer[#answer + 1], answer[#answer + 2] = s.sid, s.node
        begin_end(p, s, how or plan(p, s, args[3], limits), tonumber(args[6]), limits, placed)
      end
    end
  end

  -- evict: sessions end, wherever their sockets are; they cannot be resumed. `finish` gives their remainders their fate
  -- KEYS[1] prefix
  -- ARGV user, resource ('' = all), resend_on_timeout, queue limit, quota, old h kept, sid that stays ('' = none)
  -- answers {'ok', {sid, node, …}, {sid, node, position, …}} | {'no-account'}
  register('evict', function(keys, args)
    local p, user, answer, placed = keys[1], args[1], {}, {}
    if redis.call('EXISTS', K.account(p, user)) == 0 then return { 'no-account' } end
    end_each(p, user, args[2], args[7], nil, args, answer, placed)
    return { 'ok', answer, placed }
  end)

  -- disable: nobody can log in nor write to it, and its sessions are over; all it holds stays
  -- KEYS[1] prefix   ARGV user, '', resend_on_timeout, queue limit, quota, old h kept   answers as evict
  register('disable', function(keys, args)
    local p, user, limits, answer, placed = keys[1], args[1], limits_of(args, 4), {}, {}
    if redis.call('EXISTS', K.disabled(p, user)) == 1 then return { 'ok', {}, {} } end
    if redis.call('EXISTS', K.account(p, user)) == 0 then return { 'no-account' } end
    end_each(p, user, '', '', 'store', args, answer, placed)
    -- here and now: afterwards a remainder would find no account to be stored in
    for _, s in ipairs(endings_of(p, user)) do
      repeat until end_piece(p, s, limits, placed)
    end
    redis.call('RENAME', K.account(p, user), K.disabled(p, user))
    redis.call('SADD', K.disabled_accounts(p), user)
    return { 'ok', answer, placed }
  end)

  -- reenable: everything is as it was   KEYS[1] prefix   ARGV user   answers 'ok' | 'no-account'
  register('reenable', function(keys, args)
    local p, user = keys[1], args[1]
    redis.call('SREM', K.disabled_accounts(p), user)
    if redis.call('EXISTS', K.disabled(p, user)) == 1 then
      redis.call('RENAME', K.disabled(p, user), K.account(p, user))
    elseif redis.call('EXISTS', K.account(p, user)) == 0 then
      return 'no-account'
    end
    return 'ok'
  end)

  -- credentials: an account's fields, those of a disabled one with `disabled`   KEYS[1] prefix   ARGV user
  -- answers {field, value, …}, empty if there is none
  register('credentials', function(keys, args)
    local p, user = keys[1], args[1]
    local all = redis.call('HGETALL', K.account(p, user))
    if #all > 0 then return all end
    all = redis.call('HGETALL', K.disabled(p, user))
    if #all > 0 then all[#all + 1], all[#all + 2] = 'disabled', '1' end
    return all
  end)

  -- logged_in: an account has become available   KEYS[1] prefix   ARGV user   answers 1 | 0
  register('logged_in', function(keys, args)
    local key = K.account(keys[1], args[1])
    if redis.call('EXISTS', key) == 0 then return 0 end
    redis.call('HSET', key, 'last_login', now())
    return 1
  end)

  -- standing: what is known of an account   KEYS[1] prefix   ARGV user
  -- answers false | {is disabled (0 or 1), made at (ms), last login at (ms), messages stored offline, contacts,
  --          registrations for push}
  register('standing', function(keys, args)
    local p, user = keys[1], args[1]
    local disabled = redis.call('EXISTS', K.disabled(p, user))
    local key = disabled == 1 and K.disabled(p, user) or K.account(p, user)
    local v = redis.call('HMGET', key, 'created_at', 'last_login', 'request')
    if not v[3] then return false end
    return { disabled, tonumber(v[1]) or 0, tonumber(v[2]) or 0, redis.call('LLEN', K.offline(p, user)),
      redis.call('HLEN', K.roster(p, user)), redis.call('HLEN', K.registrations(p, user)) }
  end)

  -- attendance: of about so many accounts of this bucket those who are connected   KEYS[1] prefix   ARGV cursor, count
  -- answers {next cursor ('0' = that was all), user, 'active' | 'idle', …}: idle are those whose clients have all said
  -- so (XEP-0352)
  register('attendance', function(keys, args)
    local p = keys[1]
    local scanned = redis.call('SSCAN', K.accounts(p), args[1], 'COUNT', args[2])
    local answer = { scanned[1] }
    for _, user in ipairs(scanned[2]) do
      local state
      for _, sid in ipairs(redis.call('HVALS', K.resources(p, user))) do
        local v = redis.call('HMGET', K.session(p, sid), 'state', 'inactive')
        if v[1] == LIVE then
          if v[2] == '1' then state = state or 'idle' else state = 'active' end
        end
      end
      if state then answer[#answer + 1], answer[#answer + 2] = user, state end
    end
    return answer
  end)
end
