-- What a gateway node owns in one bucket, and what becomes of it when the node is dead.
-- Keys: node:{node} set, s:{sid} hash, and those of hibernation and end

-- tails: the owner's periodic check; a lost notice shows as a tail beyond what it knows, a lost session as an absent
-- one
-- KEYS[1] prefix   ARGV node   answers {sid, tail, epoch, …}
register('tails', function(keys, args)
  local p, answer = keys[1], {}
  for _, sid in ipairs(redis.call('SMEMBERS', K.owned(p, args[1]))) do
    local v = redis.call('HMGET', K.session(p, sid), 'tail', 'inactive', 'flush', 'epoch')
    if v[1] then
      local n = #answer
      answer[n + 1], answer[n + 2], answer[n + 3] = sid, tonumber(v[2] == '1' and v[3] or v[1]), v[4]
    end
  end
  return answer
end)

-- reap: a dead node's sessions hibernate, those that cannot be resumed end; the epoch shuts the old owner out, should
-- it live after all
-- KEYS[1] prefix   ARGV node, most, last call's lead ms, queue limit, quota, old h kept, resend_on_timeout, ms
--      between two devices that are woken though nothing waits for them (0 = none are)
-- answers {'done' | 'more', number of sessions}
register('reap', function(keys, args)
  local p, limits = keys[1], limits_of(args, 4)
  local owned = K.owned(p, args[1])
  local sids = redis.call('SRANDMEMBER', owned, tonumber(args[2]))
  for _, sid in ipairs(sids) do
    local s = load(p, sid)
    redis.call('SREM', owned, sid)
    if s and s.state == LIVE and s.node == args[1] then
      s.epoch = redis.call('HINCRBY', K.session(p, sid), 'epoch', 1)
      if redis.call('HGET', K.session(p, sid), 'smacks') == '1' then
        put_to_sleep(p, s, tonumber(args[3]), -1, 0)
        if tonumber(args[8]) > 0 then Push.restarted(p, s, tonumber(args[8])) end
      else
        begin_end(p, s, plan(p, s, args[7], limits), tonumber(args[6]), limits, {})
      end
    end
  end
  return { redis.call('SCARD', owned) > 0 and 'more' or 'done', #sids }
end)

-- outbox: take entries that wait to be bounced or handed on   KEYS[1] prefix
-- ARGV most, ms for which a subscription stanza is left to the gateway that wrote it   answers XRANGE's entries
register('outbox', function(keys, args)
  local found, since = {}, now() - tonumber(args[2])
  for _, entry in ipairs(redis.call('XRANGE', K.outbox(keys[1]), '-', '+', 'COUNT', args[1])) do
    if entry[2][2] ~= 'subscription' or tonumber(string.match(entry[1], '^%d+')) <= since then
      found[#found + 1] = entry
    end
  end
  return found
end)

-- posted: an outbox entry reached its mailbox   KEYS[1] prefix   ARGV id   answers 1 | 0
register('posted', function(keys, args) return redis.call('XDEL', K.outbox(keys[1]), args[1]) end)
