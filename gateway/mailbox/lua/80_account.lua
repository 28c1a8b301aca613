-- Accounts.   Keys: acct:{user} hash, accts set, and every key of the mailbox

-- create: KEYS[1] prefix   ARGV user, '1' to replace credentials of an existing account, field, value, …
-- answers 'ok' | 'exists' | 'no-account'
register('create', function(keys, args)
  local p, user = keys[1], args[1]
  local key = K.account(p, user)
  local exists = redis.call('EXISTS', key) == 1
  if args[2] == '1' and not exists then return 'no-account' end
  if args[2] ~= '1' and exists then return 'exists' end
  redis.call('HSET', key, unpack(args, 3))
  if not exists then redis.call('HSET', key, 'created_at', now()) end
  redis.call('SADD', K.accounts(p), user)
  return 'ok'
end)

-- remove: every key of the mailbox   KEYS[1] prefix   ARGV user
-- answers {'ok' | 'no-account', sid, node, …}: sessions whose sockets are to be closed
register('remove', function(keys, args)
  local p, user = keys[1], args[1]
  if redis.call('EXISTS', K.account(p, user)) == 0 then return { 'no-account' } end
  local answer = { 'ok' }
  local sessions = redis.call('HGETALL', K.resources(p, user))
  for i = 2, #sessions, 2 do
    local sid = sessions[i]
    local node = redis.call('HGET', K.session(p, sid), 'node') or ''
    if node ~= '' then redis.call('SREM', K.owned(p, node), sid) end
    redis.call('ZREM', K.due(p), sid)
    redis.call('ZREM', K.lastcalls(p), sid)
    redis.call('SREM', K.endings(p), sid)
    redis.call('UNLINK', K.session(p, sid), K.queue(p, sid), K.backlog(p, sid), K.presence(p, sid))
    local n = #answer
    answer[n + 1], answer[n + 2] = sid, node
  end
  redis.call('UNLINK', K.account(p, user), K.resources(p, user), K.offline(p, user), K.registrations(p, user), K.old(p, user),
    K.oldest(p, user), K.fanout(p, user))
  redis.call('SREM', K.accounts(p), user)
  return answer
end)

-- sessions: what `wakegate user sessions` shows   KEYS[1] prefix   ARGV user
-- answers {{resource, sid, state, node, acked, tail, backlog, priority, bound at, deadline, linked to a registration}, …}
register('sessions', function(keys, args)
  local p, answer = keys[1], {}
  local all = redis.call('HGETALL', K.resources(p, args[1]))
  for i = 1, #all, 2 do
    local v = redis.call('HMGET', K.session(p, all[i + 1]), 'state', 'node', 'acked', 'tail', 'back', 'priority', 'bound_at',
      'deadline', 'reg')
    if v[1] then answer[#answer + 1] = { all[i], all[i + 1], unpack(v) } end
  end
  return answer
end)

-- census: numbers of one bucket   KEYS[1] prefix   answers {accounts, sleeping, events waiting, oldest event's id, retries, outbox, {fate, n, …}}
register('census', function(keys)
  local p = keys[1]
  local oldest = redis.call('XRANGE', K.events(p), '-', '+', 'COUNT', 1)
  return { redis.call('SCARD', K.accounts(p)), redis.call('ZCARD', K.due(p)), redis.call('XLEN', K.events(p)),
    oldest[1] and oldest[1][1] or '', redis.call('ZCARD', K.retries(p)), redis.call('XLEN', K.outbox(p)),
    redis.call('HGETALL', K.fates(p)) }
end)
