-- Ad-hoc command sessions (XEP-0050): what an account's clients have begun, on any node.
-- Keys: acct:{user}, cmd:{user} hash: session id -> 'deadline|request|state'. `request` names the one that runs a stage at the
--       moment: a stage runs once at most, even if its process dies in it.

do
  local function parts(value) return string.match(value, '^(%d+)|(%w*)|(.*)$') end

  -- command_keep: begin a session, or a stage that was answered; what is past its time goes, and the oldest if there
  -- are too many
  -- KEYS[1] prefix   ARGV user, session id, state, ms it is kept, most   answers 'ok' | 'no-account'
  register('command_keep', function(keys, args)
    if redis.call('EXISTS', K.account(keys[1], args[1])) == 0 then return 'no-account' end
    local key, at = K.commands(keys[1], args[1]), now()
    local all, count, oldest, first, last = redis.call('HGETALL', key), 0, nil, math.huge, 0
    for i = 1, #all, 2 do
      local deadline = tonumber((parts(all[i + 1])))
      if all[i] == args[2] then   -- replaced below
      elseif deadline <= at then redis.call('HDEL', key, all[i])
      else
        count = count + 1
        if deadline < first then oldest, first = all[i], deadline end
        last = math.max(last, deadline)
      end
    end
    if count >= tonumber(args[5]) then redis.call('HDEL', key, oldest) end
    local deadline = math.max(at + tonumber(args[4]), last + 1)   -- of those begun in one millisecond, too, one is older
    redis.call('HSET', key, args[2], string.format('%d', deadline) .. '||' .. args[3])
    redis.call('PEXPIRE', key, args[4])
    return 'ok'
  end)

  -- command_take: a stage begins to run   KEYS[1] prefix   ARGV user, session id, name of this request
  -- answers the state, or false: it is over, or runs
  register('command_take', function(keys, args)
    local key = K.commands(keys[1], args[1])
    local value = redis.call('HGET', key, args[2])
    if not value then return false end
    local deadline, request, state = parts(value)
    if tonumber(deadline) <= now() or request ~= '' and request ~= args[3] then return false end
    redis.call('HSET', key, args[2], deadline .. '|' .. args[3] .. '|' .. state)
    return state
  end)

  -- command_end: completed or canceled   KEYS[1] prefix   ARGV user, session id   answers 1 | 0
  register('command_end', function(keys, args) return redis.call('HDEL', K.commands(keys[1], args[1]), args[2]) end)
end
