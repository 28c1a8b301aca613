-- Block lists (XEP-0191). Whether somebody is blocked is asked where a stanza is taken, in the same atomic step.
-- Keys: blocked:{user} set of prepared JIDs, s:{sid} (blocklist: asked for the list; block_request), q:{sid}

do

local MOST_BYTES = 262144   -- of all addresses of a list together, so that the list fits into one answer

-- Does `user` block `jid`? A list holds full and bare addresses, domains, and resources of domains (XEP-0191 section 5).
-- An account's own devices and its own server are never blocked, whatever the list says.
function Blocking.blocks(p, user, jid)
  local key = K.blocked(p, user)
  if redis.call('EXISTS', key) == 0 then return false end   -- as nearly always: asked for each stanza, so ask this first
  local bare = string.match(jid, '^[^/]*')
  if bare == user then return false end
  local domain = string.match(bare, '@(.*)$') or bare
  if bare == domain and domain == string.match(user, '@(.*)$') then return false end
  for _, found in ipairs(redis.call('SMISMEMBER', key, jid, bare, domain)) do
    if found == 1 then return true end
  end
  return false
end

-- Tell every session that asked for the list; a request that comes again after a lost connection tells nothing anew,
-- but the owners still learn where the first one is.
local function push_list(p, user, s, request, payload, limits, answer)
  local key = K.session(p, s.sid)
  local is_repeated = redis.call('HGET', key, 'block_request') == request
  redis.call('HSET', key, 'block_request', request)
  for _, each in ipairs(sessions_of(p, user)) do
    local v = redis.call('HMGET', K.session(p, each.sid), 'blocklist', 'jid')
    if v[1] == '1' then
      local position = visible(each)
      if not is_repeated then
        local push = "<iq type='set' id='block-" .. request .. "' to='" .. v[2] .. "'>" .. payload .. '</iq>'
        position = put(p, each, 'r', '', now(), '', push, limits, true)
      end
      local n = #answer
      answer[n + 1], answer[n + 2], answer[n + 3] = each.sid, each.node, position or 0
    end
  end
  return answer
end

local function bytes_of(members)
  local bytes = 0
  for _, member in ipairs(members) do bytes = bytes + #member end
  return bytes
end

-- between: does one of two accounts block the other? For requests that are answered on an account's behalf.
-- KEYS[1] prefix of the one asked   KEYS[2] prefix of who asks   ARGV the one asked, who asks (full JID), and bare
-- answers 'blocked' | 'blocked-by-you' | ''
register('between', function(keys, args)
  if Blocking.blocks(keys[2], args[3], args[1]) then return 'blocked-by-you' end
  return Blocking.blocks(keys[1], args[1], args[2]) and 'blocked' or ''
end)

-- blocklist: the list, and from now on this session is told of its changes
-- KEYS[1] prefix   ARGV user, sid, epoch   answers {'ok', JID, …} | {'stale'}
register('blocklist', function(keys, args)
  local p, user = keys[1], args[1]
  if not own(p, args[2], args[3]) then return { 'stale' } end
  redis.call('HSET', K.session(p, args[2]), 'blocklist', '1')
  return { 'ok', unpack(redis.call('SMEMBERS', K.blocked(p, user))) }
end)

-- block: add to the list
-- KEYS[1] prefix   ARGV user, sid, epoch, this request's name, push payload, most JIDs, queue limit, quota, JID, …
-- answers {'ok', sid, node, position, …} | {'full'} | {'stale'}
register('block', function(keys, args)
  local p, user, key = keys[1], args[1], K.blocked(keys[1], args[1])
  local s = own(p, args[2], args[3])
  if not s then return { 'stale' } end
  local added = {}
  for i = 9, #args do
    if redis.call('SADD', key, args[i]) == 1 then added[#added + 1] = args[i] end
  end
  if redis.call('SCARD', key) > tonumber(args[6]) or bytes_of(redis.call('SMEMBERS', key)) > MOST_BYTES then
    if #added > 0 then redis.call('SREM', key, unpack(added)) end
    return { 'full' }
  end
  return push_list(p, user, s, args[4], args[5], limits_of(args, 7), { 'ok' })
end)

-- unblock: take off the list; without a JID, everybody
-- KEYS[1] prefix   ARGV user, sid, epoch, this request's name, push payload, queue limit, quota, JID, …
-- answers {'ok', sid, node, position, …} | {'stale'}
register('unblock', function(keys, args)
  local p, user, key = keys[1], args[1], K.blocked(keys[1], args[1])
  local s = own(p, args[2], args[3])
  if not s then return { 'stale' } end
  if #args < 8 then
    redis.call('UNLINK', key)
  else
    redis.call('SREM', key, unpack(args, 8))
  end
  return push_list(p, user, s, args[4], args[5], limits_of(args, 6), { 'ok' })
end)

end
