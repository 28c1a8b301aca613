-- presence: what a session says of itself, and the offline messages that its first presence lets in
-- Keys: acct:{user}, res:{user}, s:{sid}, q:{sid}, back:{sid}, pres:{sid}, off:{user}, ends

-- What other resources said before this one came.
local function introduce(p, s, stamp, limits)
  for _, other in ipairs(available(p, s.user, s.sid, true)) do
    local v = redis.call('HMGET', K.session(p, other.sid), 'jid', 'presence')
    put_presence(p, s, stamp, v[1], v[2], limits)
  end
end

-- presence: kept, told to the account's other resources; the first non-negative one lets the offline store flow in
-- KEYS[1] prefix   ARGV sid, epoch, priority ('' = unavailable), queue limit, quota, stanza, serial
-- answers {'ok', former priority, tail, sid, node, position, …} | {'stale'}
register('presence', function(keys, args)
  local p, limits, stamp = keys[1], limits_of(args, 4), now()
  local s = own(p, args[1], args[2])
  if not s then return { 'stale' } end
  local key, former, was_available, placed = K.session(p, s.sid), s.priority, is_available(s), {}
  local v = redis.call('HMGET', key, 'serial', 'former_priority')
  if tonumber(args[7]) <= tonumber(v[1]) then return { 'ok', v[2], s.tail } end
  redis.call('HSET', key, 'priority', args[3], 'presence', args[6], 'serial', args[7], 'former_priority', former)
  s.priority = args[3]
  if s.priority ~= '' or former ~= '' then broadcast(p, s, args[6], stamp, limits, placed) end
  if s.priority ~= '' and former == '' then introduce(p, s, stamp, limits) end
  if is_available(s) and not was_available then drain(p, s, limits) end
  local answer = { 'ok', former, s.tail }
  for _, value in ipairs(placed) do answer[#answer + 1] = value end
  return answer
end)
