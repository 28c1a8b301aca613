-- What became of a push: outcome, retry, end; and what is kept of it.
-- Keys: ev stream, retry zset, job:{event}, push:{user}, pushstat, trace, pushid:{push}, bg:{device}

do

-- The provider's answer came this long after the event: a histogram, as Prometheus counts (each bucket on its own here).
local WITHIN = { 50, 100, 250, 500, 1000, 2500, 5000, 15000, 60000, 300000 }

local function count_latency(p, provider, ms)
  local within = '+Inf'
  for _, most in ipairs(WITHIN) do
    if ms <= most then
      within = tostring(most)
      break
    end
  end
  Push.count(p, 'latency:' .. provider .. ':' .. within)
  Push.count(p, 'latency-sum:' .. provider, ms)
end

-- Where the decision about a push can be read, by the push's id.
local function note_push(p, user, field, id, length, days, event, what, why, ...)
  Push.note(p, user, length, days, event, what, why, 'device', Push.device(user, field), 'push', id, ...)
  if id ~= '' and tonumber(length) > 0 then
    redis.call('SET', K.push_owner(p, id), redis.sha1hex(user), 'EX', tonumber(days) * 86400)
  end
end

-- pushed: the outcome for one registration. A dead token goes only if it is still the same and older than the
-- provider's word.
-- KEYS[1] prefix
-- ARGV event id, user, field, outcome, token that failed ('' = keep the registration), provider's timestamp ms (0 =
--      none), '1' if the provider was asked, push id, provider, ms since the event, why, call that rang now ('' = none),
--      decisions kept, days they are kept, class of the event
-- answers 'removed' | 'kept'
register('pushed', function(keys, args)
  local p, user, field, key = keys[1], args[2], args[3], K.registrations(keys[1], args[2])
  local job, device = K.job(p, args[1]), Push.device(user, field)
  -- Else it is sent again after a lost connection, or by a worker that was slow, while another brought all to its end.
  if redis.call('HEXISTS', job, '~' .. device) == 1 and redis.call('HSETNX', job, device, args[4]) == 1 then
    Push.count(p, args[4])
    if args[7] == '1' then Push.count(p, 'sent') end
    if args[4] == 'delivered' then
      count_latency(p, args[9], math.floor(tonumber(args[10])))
      if args[15] == 'message' then Push.told_all(p, user, device, args[1], args[13], args[14]) end
    end
    note_push(p, user, field, args[8], args[13], args[14], args[1], args[4], args[11], 'provider', args[9], 'ms', args[10])
    if args[12] ~= '' and args[4] == 'delivered' then
      if Calls.is_over(p, user, args[12]) then Push.call_ended(p, user, args[12], Calls.how and Calls.how(p, user, args[12]), { field })
      else Calls.rang(p, user, args[12], field) end
    end
  end
  if args[5] == '' then return 'kept' end
  local value = redis.call('HGET', key, field)
  local registration = value and cjson.decode(value)
  if not registration or registration.token ~= args[5] then return 'kept' end
  local said = tonumber(args[6])
  if said > 0 and registration.at > said then return 'kept' end
  redis.call('HDEL', key, field)
  recount(p, user, registration.sid)
  return 'removed'
end)

-- retry: one registration's push is due again later
-- KEYS[1] prefix   ARGV ms from now, event (JSON), event id, user, field, '1' if the provider was asked, push id, why,
--      decisions kept, days they are kept, id of the stream entry that was claimed   answers 'ok'
register('retry', function(keys, args)
  local p, tried = keys[1], args[6] == '1'
  local job, device = K.job(p, args[3]), Push.device(args[4], args[5])
  local v = redis.call('HMGET', job, '~' .. device, device, '>' .. device)
  -- nothing was begun, or it has an outcome: by another worker, which took this one for dead; or it is sent again
  if not v[1] or v[2] or v[3] == args[11] then return 'ok' end
  redis.call('ZADD', K.retries(p), now() + tonumber(args[1]), args[2])
  redis.call('HSET', job, '>' .. device, args[11])
  if tried then Push.count(p, 'sent') else redis.call('HINCRBY', job, '~' .. device, -1) end
  Push.count(p, tried and 'retried' or 'put-off')
  redis.call('EXPIRE', job, 2592000)
  note_push(p, args[4], args[5], args[7], args[9], args[10], args[3], tried and 'retry' or 'put-off', args[8], 'ms', args[1])
  if cjson.decode(args[2]).class == 'message' then
    Push.wait_again(p, args[4], device, args[3], args[2], math.ceil(tonumber(args[1]) / 1000), args[9], args[10])
  end
  return 'ok'
end)

-- done: every registration of this event has its outcome   KEYS[1] prefix
-- ARGV stream id, event id, group, '1' if what was kept of its work may be forgotten
-- answers 'ok'; the event stays if another worker, which took this one for dead, has begun parts that are not at their end
register('done', function(keys, args)
  local p, job = keys[1], K.job(keys[1], args[2])
  if Push.open_parts(job) == 'begun' then return 'ok' end
  Push.forget(p, args[1], args[4] == '1' and job or '', args[3])
  return 'ok'
end)

-- replay: a dead letter goes back on the stream, as a push of its own   KEYS[1] prefix
-- ARGV event id, user, registration, the letter's id, then the event, flat   answers 'ok'
register('replay', function(keys, args)
  local p, job = keys[1], K.job(keys[1], args[1])
  local device = Push.device(args[2], args[3])
  if redis.call('EXISTS', K.account(p, args[2])) == 0 or redis.call('HSETNX', job, '^' .. args[4], '1') == 0 then
    return 'ok'   -- nobody is there, or it is sent again
  end
  redis.call('EXPIRE', job, 2592000)
  redis.call('HDEL', job, device, '~' .. device, '@' .. device)
  redis.call('HSET', job, '>' .. device, '^')   -- counted here, also if nothing comes of it
  Push.count(p, 'queued')
  redis.call('XADD', K.events(p), '*', unpack(args, 5))
  return 'ok'
end)

-- background: may a push that shows nothing go to this device now? At most one in so many ms.
-- KEYS[1] prefix   ARGV user, field, ms, event id (the same one may ask again)   answers 1 | 0
register('background', function(keys, args)
  local key = K.background(keys[1], redis.sha1hex(args[1] .. '\n' .. args[2]))
  if tonumber(args[3]) == 0 or redis.call('SET', key, args[4], 'PX', args[3], 'NX') then return 1 end
  return redis.call('GET', key) == args[4] and 1 or 0
end)

-- trace: decisions about an account's pushes, oldest first   KEYS[1] prefix   ARGV user, or '' and a push id
-- answers XRANGE's entries
register('trace', function(keys, args)
  local p, digest = keys[1], args[1] ~= '' and redis.sha1hex(args[1])
  digest = digest or redis.call('GET', K.push_owner(p, args[2]))
  return digest and redis.call('XRANGE', K.trace(p, digest), '-', '+') or {}
end)

end
