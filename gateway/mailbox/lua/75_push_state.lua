-- A look at all that decides about pushes to one account, for who asks why one came or did not.
-- Keys, all of them only read: acct:{user}, dis:{user}, res:{user}, push:{user}, s:{sid}, ev stream, retry zset,
--       bg:{device}

local LOOKED_AT = 1000   -- events and retries of the bucket; beyond that the workers are far behind anyway

local function events_of(p, user)
  local found = {}
  for _, entry in ipairs(redis.call('XRANGE', K.events(p), '-', '+', 'COUNT', LOOKED_AT)) do
    local flat = entry[2]
    for i = 1, #flat, 2 do
      if flat[i] == 'user' and flat[i + 1] == user then found[#found + 1] = flat end
    end
  end
  return found
end

local function retries_of(p, user)
  local found, all = {}, redis.call('ZRANGE', K.retries(p), 0, LOOKED_AT - 1, 'WITHSCORES')
  for i = 1, #all, 2 do
    if cjson.decode(all[i]).user == user then found[#found + 1], found[#found + 2] = all[i], all[i + 1] end
  end
  return found
end

-- push_state: everything at one moment   KEYS[1] prefix   ARGV user
-- answers {now, 'here' | 'disabled' | 'none', {account's marks}, {field, registration, ms until a push that shows nothing
--          may go, …}, {resource, sid, {session's marks}, …}, {{event, flat}, …}, {event (JSON), due ms, …}}
register('push_state', function(keys, args)
  local p, user = keys[1], args[1]
  local place = redis.call('EXISTS', K.account(p, user)) == 1 and 'here'
    or redis.call('EXISTS', K.disabled(p, user)) == 1 and 'disabled' or 'none'
  local account = redis.call('HMGET', K.account(p, user), 'offline_important', 'idle_important', 'offline_covered',
    'offline_pending', 'offline_pushed_at')
  local devices, sessions = {}, {}
  local registered, bound = redis.call('HGETALL', K.registrations(p, user)), redis.call('HGETALL', K.resources(p, user))
  for i = 1, #registered, 2 do
    local budget = redis.call('PTTL', K.background(p, redis.sha1hex(user .. '\n' .. registered[i])))
    devices[#devices + 1], devices[#devices + 2] = registered[i], registered[i + 1]
    devices[#devices + 1] = math.max(0, budget)
  end
  for i = 1, #bound, 2 do
    sessions[#sessions + 1], sessions[#sessions + 2] = bound[i], bound[i + 1]
    sessions[#sessions + 1] = redis.call('HMGET', K.session(p, bound[i + 1]), 'state', 'overdue', 'inactive', 'reg',
      'important', 'important_acked', 'covered', 'pending', 'pushed_at', 'deadline', 'max')
  end
  return { now(), place, account, devices, sessions, events_of(p, user), retries_of(p, user) }
end)
