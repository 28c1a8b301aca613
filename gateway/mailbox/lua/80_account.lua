-- Accounts.   Keys: acct:{user} hash (of a disabled account dis:{user}), accts and disd sets, and every key of the mailbox

-- A new account; `fields` are its credentials, flat.
local function make_account(p, user, request, fields)
  local key, at = K.account(p, user), now()
  -- the generation goes on from the clock: an event of a former account of this name is not true for this one
  redis.call('HSET', key, 'request', request, 'created_at', at, 'offline_gen', at, unpack(fields))
  redis.call('SADD', K.accounts(p), user)
  redis.call('DEL', K.reserved(p, user))
end

-- create: KEYS[1] prefix   ARGV user, '1' to replace credentials of an existing account, this request's name, field,
--      value, …
-- answers 'ok' | 'exists' | 'no-account'
register('create', function(keys, args)
  local p, user = keys[1], args[1]
  local key = redis.call('EXISTS', K.disabled(p, user)) == 1 and K.disabled(p, user) or K.account(p, user)
  local request = redis.call('HGET', key, 'request')   -- set with every account
  if args[2] == '1' then
    if not request then return 'no-account' end
    redis.call('HSET', key, unpack(args, 4))
  elseif request then
    return request == args[3] and 'ok' or 'exists'
  else
    make_account(p, user, args[3], { unpack(args, 4) })
  end
  return 'ok'
end)

-- remove: the mailbox is gone at once, so that the name can be given anew; entries of its sessions get their fate by
-- `finish`
-- KEYS[1] prefix   ARGV user
-- answers {'ok' | 'no-account', sid, node, …}: sessions whose sockets are to be closed
register('remove', function(keys, args)
  local p, user = keys[1], args[1]
  if redis.call('EXISTS', K.disabled(p, user)) == 1 then redis.call('RENAME', K.disabled(p, user), K.account(p, user)) end
  if redis.call('EXISTS', K.account(p, user)) == 0 then return { 'no-account' } end
  local answer = { 'ok' }
  for _, s in ipairs(endings_of(p, user)) do
    redis.call('HSET', K.session(p, s.sid), 'how', 'drop')
  end
  for _, sid in ipairs(redis.call('HVALS', K.resources(p, user))) do
    local s = load(p, sid)
    if s then
      local n = #answer
      answer[n + 1], answer[n + 2] = sid, s.node
      begin_end(p, s, 'drop', 0, nil, nil)
    end
  end
  fate(p, 'dropped', redis.call('LLEN', K.offline(p, user)))
  for _, digest in ipairs(redis.call('ZRANGE', K.invites(p, user), 0, -1)) do
    redis.call('UNLINK', K.invite(p, digest))
  end
  Push.leave(p, user)
  Archive.remove(p, user)
  Pubsub.erase(p, user)
  redis.call('UNLINK', K.account(p, user), K.resources(p, user), K.offline(p, user), K.registrations(p, user),
    K.old(p, user), K.oldest(p, user), K.commands(p, user), K.invites(p, user), K.reserved(p, user),
    K.unread(p, user), K.read(p, user), K.calls(p, user))
  Roster.forget(p, user)
  redis.call('UNLINK', K.blocked(p, user), K.trace(p, redis.sha1hex(user)))
  redis.call('UNLINK', K.private(p, user), K.vcard(p, user))
  redis.call('SREM', K.accounts(p), user)
  redis.call('SREM', K.disabled_accounts(p), user)
  return answer
end)

-- sessions: what `wakegate user sessions` shows   KEYS[1] prefix   ARGV user
-- answers {{resource, sid, state, node, acked, tail, backlog, priority, bound at, deadline, linked to a
-- registration}, …}
register('sessions', function(keys, args)
  local p, answer = keys[1], {}
  local all = redis.call('HGETALL', K.resources(p, args[1]))
  for i = 1, #all, 2 do
    local v = redis.call('HMGET', K.session(p, all[i + 1]), 'state', 'node', 'acked', 'tail', 'back', 'priority',
      'bound_at', 'deadline', 'reg')
    if v[1] then answer[#answer + 1] = { all[i], all[i + 1], unpack(v) } end
  end
  return answer
end)

-- census: numbers of one bucket   KEYS[1] prefix
-- answers {accounts, sleeping, events waiting, oldest event's id, retries, outbox, {fate, n, …}}
register('census', function(keys)
  local p = keys[1]
  local oldest = redis.call('XRANGE', K.events(p), '-', '+', 'COUNT', 1)
  return { redis.call('SCARD', K.accounts(p)), redis.call('ZCARD', K.due(p)), redis.call('XLEN', K.events(p)),
    oldest[1] and oldest[1][1] or '', redis.call('ZCARD', K.retries(p)), redis.call('XLEN', K.outbox(p)),
    redis.call('HGETALL', K.fates(p)) }
end)
