-- Devices of other XMPP servers' users, which registered with push.<domain> there (XEP-0357). Each is a mailbox without
-- sessions, named by its node: what that server publishes waits like what is stored offline, until it was pushed. Since
-- nothing is in `accts`, no such mailbox is an account.
-- Who registered, and which device it was, is known by `owner` and `device`: digests and addresses that callers choose.
-- A node is in its owner's bucket.
-- Keys: acct:{node} hash (owner, device, secret, registered_at, offline_*), push:{node}, off:{node},
--       dev:{owner} hash, devt:{owner} string, j:{process}, ev

do

local function erase(p, owner, device, node)
  if redis.call('HGET', K.devices(p, owner), device) == node then redis.call('HDEL', K.devices(p, owner), device) end
  redis.call('UNLINK', K.account(p, node), K.registrations(p, node), K.offline(p, node))
end

local function keep(p, owner, node, ms)
  for _, key in ipairs({ K.account(p, node), K.registrations(p, node), K.offline(p, node), K.devices(p, owner) }) do
    redis.call('PEXPIRE', key, ms)
  end
end

-- The device that registered the longest ago, except one.
local function forget_oldest_device(p, owner, except)
  local all, device, node, at = redis.call('HGETALL', K.devices(p, owner)), nil, nil, math.huge
  for i = 1, #all, 2 do
    local since = tonumber(redis.call('HGET', K.account(p, all[i + 1]), 'registered_at') or 0)
    if all[i] ~= except and since < at then device, node, at = all[i], all[i + 1], since end
  end
  erase(p, owner, device, node)
end

-- May it be registered? Only what is new counts. Answers ms to wait for the next hour, or nil.
local function refused(p, owner, most)
  local key = K.device_tries(p, owner)
  if tonumber(redis.call('GET', key) or 0) >= most then return math.max(1, redis.call('PTTL', key)) end
  if redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, 3600000) end
end

-- device_add: keep the registration of a device; known by `device`, it keeps its node, and the peer's server need not
-- be told anew
-- KEYS[1] prefix
-- ARGV owner, device, node JID and secret for one that is new, registration (JSON), most devices of an owner, most new
--      tokens an hour, ms for which a device is kept that is not heard of
-- answers {'ok', node JID, secret} | {'too-many', ms to wait}
register('device_add', function(keys, args)
  local p, owner, device, at = keys[1], args[1], args[2], now()
  local registration, node = cjson.decode(args[5]), redis.call('HGET', K.devices(p, owner), device)
  if not node or redis.call('EXISTS', K.account(p, node)) == 0 then node = args[3] end
  registration.node, registration.at = string.match(node, '^[^@]+'), at
  local field = registration.service .. '\n' .. registration.node
  local former = redis.call('HGET', K.registrations(p, node), field)
  if not former or cjson.decode(former).token ~= registration.token then
    local wait = refused(p, owner, tonumber(args[7]))
    if wait then return { 'too-many', wait } end
  end
  local account = K.account(p, node)
  if node == args[3] then   -- the generation goes on from the clock, as an account's
    redis.call('HSETNX', account, 'offline_gen', at)
    redis.call('HSET', account, 'owner', owner, 'device', device, 'secret', args[4])
  end
  redis.call('HSET', account, 'registered_at', at)
  redis.call('HSET', K.registrations(p, node), field, cjson.encode(registration))
  redis.call('HSET', K.devices(p, owner), device, node)
  while redis.call('HLEN', K.devices(p, owner)) > tonumber(args[6]) do forget_oldest_device(p, owner, device) end
  keep(p, owner, node, args[8])
  return { 'ok', node, redis.call('HGET', account, 'secret') }
end)

-- device_remove: by its node, or ('') by what it is known as   KEYS[1] prefix   ARGV owner, device, node JID
-- answers how many went
register('device_remove', function(keys, args)
  local p, owner, device, node = keys[1], args[1], args[2], args[3]
  if node == '' then node = redis.call('HGET', K.devices(p, owner), device) or ''
  else device = redis.call('HGET', K.account(p, node), 'device') or '' end
  if redis.call('HGET', K.account(p, node), 'owner') ~= owner then return 0 end
  erase(p, owner, device, node)
  return 1
end)

-- device_notify: the peer has published. What it told last is the one entry that waits, and wakes. The count is the
-- peer's, and need not rise: some always say 1. So every publish puts the count beyond what events have covered.
-- KEYS[1] prefix
-- ARGV the caller's process, serial (rising), node JID, class ('message', 'call', or 'read': nothing waits any more),
--      count, entry (a message), ms for which a device is kept
-- answers 'ok' | 'gone': nobody is registered there any more
register('device_notify', function(keys, args)
  local p, taken, node, class, count = keys[1], K.taken(keys[1], args[1]), args[3], args[4], tonumber(args[5])
  local account = K.account(p, node)
  local v = redis.call('HMGET', account, 'owner', 'device', 'offline_covered')
  if not v[1] then return 'gone' end
  if redis.call('HLEN', K.registrations(p, node)) == 0 then   -- the provider said that the token is dead
    erase(p, v[1], v[2], node)
    return 'gone'
  end
  if tonumber(redis.call('GET', taken) or 0) >= tonumber(args[2]) then return 'ok' end   -- after a lost connection
  redis.call('SET', taken, args[2], 'PX', 3600000)
  redis.call('DEL', K.offline(p, node))
  if class == 'read' then
    redis.call('HSET', account, 'offline_important', 0, 'offline_covered', 0, 'offline_pending', 0)
    redis.call('HINCRBY', account, 'offline_gen', 1)
  else
    redis.call('RPUSH', K.offline(p, node), encode('m', class == 'call' and 'wu' or 'w', tostring(now()), '', args[6]))
    redis.call('HSET', account, 'offline_important', count,
      'offline_covered', math.min(tonumber(v[3] or 0), count - 1))
    raise_offline_event(p, node, 'published', class)
  end
  keep(p, v[1], node, args[7])
  return 'ok'
end)

end
