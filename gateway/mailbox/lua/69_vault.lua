-- What an account keeps on the server: private XML (XEP-0049) and its vCard (XEP-0054), byte for byte as they came.
-- Keys: acct:{user}, private:{user} hash: '{namespace}name' -> element, vcard:{user} hash: card, photo

do

local AREAS = { private = K.private, vcard = K.vcard }

-- vault_keep: put values under their names, '' takes one away; all of them or none
-- KEYS[1] prefix   ARGV user, area, most names, most bytes of all values, name, value, …
-- answers 'ok' | 'full' | 'no-account'
register('vault_keep', function(keys, args)
  local p, user, key = keys[1], args[1], AREAS[args[2]](keys[1], args[1])
  if redis.call('EXISTS', K.account(p, user)) == 0 then return 'no-account' end
  local given, count, bytes = {}, 0, 0
  for i = 5, #args, 2 do
    given[args[i]] = true
    if args[i + 1] ~= '' then count, bytes = count + 1, bytes + #args[i + 1] end
  end
  for _, name in ipairs(redis.call('HKEYS', key)) do
    if not given[name] then count, bytes = count + 1, bytes + redis.call('HSTRLEN', key, name) end
  end
  if count > tonumber(args[3]) or bytes > tonumber(args[4]) then return 'full' end
  for i = 5, #args, 2 do
    if args[i + 1] == '' then redis.call('HDEL', key, args[i]) else redis.call('HSET', key, args[i], args[i + 1]) end
  end
  return 'ok'
end)

-- vcard_swap: another card instead of this one ('' = none), if it is still that
-- KEYS[1] prefix   ARGV user, card as it was, card, photo, most bytes   answers 'ok' | 'changed' | 'full' | 'no-account'
register('vcard_swap', function(keys, args)
  local p, user, key = keys[1], args[1], K.vcard(keys[1], args[1])
  if redis.call('EXISTS', K.account(p, user)) == 0 then return 'no-account' end
  local is = redis.call('HGET', key, 'card') or ''
  if is == args[3] then return 'ok' end   -- sent again after a lost connection
  if is ~= args[2] then return 'changed' end
  if #args[3] > tonumber(args[5]) then return 'full' end
  redis.call('HSET', key, 'card', args[3], 'photo', args[4])
  return 'ok'
end)

-- vcard_shown: anybody may see a vCard (XEP-0054 section 6) but who is blocked
-- KEYS[1] prefix   ARGV user, asker (full JID)   answers the card, '' = there is none, or none for this asker
register('vcard_shown', function(keys, args)
  local p, user = keys[1], args[1]
  if redis.call('EXISTS', K.account(p, user)) == 0 or Blocking.blocks(p, user, args[2]) then return '' end
  return redis.call('HGET', K.vcard(p, user), 'card') or ''
end)

end
