-- Avatars in presence (XEP-0153): an account's photo has changed, so what its sessions have said is said anew
-- Keys: vcard:{user}, res:{user}, s:{sid} (presence, said, faded), out stream

do

-- avatar_told: what available sessions tell of the photo
-- KEYS[1] prefix   ARGV user
-- answers {hash of the photo, '-' none, '' no vCard, sid, presence as its client wrote it, as others get it, as others
--         get it while the session sleeps ('' = the same or none), …}
register('avatar_told', function(keys, args)
  local p, user = keys[1], args[1]
  local found = { redis.call('HGET', K.vcard(p, user), 'photo') or '' }
  for _, s in ipairs(available(p, user, '', true)) do
    local v = redis.call('HMGET', K.session(p, s.sid), 'presence', 'said', 'faded')
    local n, faded = #found, v[3] ~= 'unavailable' and v[3] or ''
    found[n + 1], found[n + 2], found[n + 3], found[n + 4] = s.sid, v[2] and v[2] ~= '' and v[2] or v[1], v[1], faded
  end
  return found
end)

-- avatar_tell: a session's presence in new words, for contacts and the account's other resources
-- KEYS[1] prefix   ARGV sid, presence as it was, presence, presence while the session sleeps ('' = as it was)
-- answers 'ok' | 'changed' (the session has said something else meanwhile, or has ended)
register('avatar_tell', function(keys, args)
  local p, key = keys[1], K.session(keys[1], args[1])
  local s, v = load(p, args[1]), redis.call('HMGET', key, 'presence', 'said', 'faded')
  if not s or s.state == ENDING or s.priority == '' then return 'changed' end
  if v[1] == args[3] then return 'ok' end   -- sent again after a lost connection
  if v[1] ~= args[2] then return 'changed' end
  redis.call('HSET', key, 'presence', args[3], 'said', v[2] and v[2] ~= '' and v[2] or v[1])
  if args[4] ~= '' and v[3] and v[3] ~= '' and v[3] ~= 'unavailable' then redis.call('HSET', key, 'faded', args[4]) end
  Presence.tell_later(p, s, {}, true)
  return 'ok'
end)

end
