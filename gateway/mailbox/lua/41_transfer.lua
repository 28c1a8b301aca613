-- A delivery across slots (Redis Cluster): what `deliver` does in one step on one Redis, where sender and recipient lie
-- in different slots. `dispatch` in the sender's mailbox counts the stanza and keeps it as a transfer; then it is
-- delivered to the recipient's mailbox, which knows it by its origin; `confirm` keeps the sender's part and ends the
-- transfer. Who died in between leaves a transfer, and a sweeper, or the next session, goes on.
-- Keys: s:{sid} hash, tr:{user} hash, trs zset, and those of 40_deliver.lua

do

-- A transfer: when it was written, then what `dispatch` was called with.
local function name_of(args) return args[4] .. ' ' .. args[5] end

-- dispatch: the sender's part before the delivery
-- KEYS[1] prefix of the sender's mailbox
-- ARGV those of `deliver` with two keys; then the operation that delivers, and the recipient's prefix
-- answers {'ok' | 'done' (an earlier call of the same has come to its end) | 'blocked-by-you' | 'stale', h is kept (1 or
--         0), account}
register('dispatch', function(keys, args)
  local p, counts, sid, count = keys[1], args[13] ~= '', args[14], tonumber(args[5])
  local key, highest = K.session(p, sid), counts and 'sent' or 'sent-'   -- XEP-0198 counts anew from <enable/>
  local v = redis.call('HMGET', key, 'epoch', 'state', 'h', 'user', highest)
  if counts and (v[1] ~= args[13] or v[2] == ENDING) then return { 'stale', 0, '' } end
  local user, to = v[4] or args[15], args[2] == '' and args[1] or args[1] .. '/' .. args[2]
  local transfers, name = K.transfers(p, user), name_of(args)
  if v[5] and count <= tonumber(v[5]) then
    local kept = counts and tonumber(v[3]) >= count and 1 or 0
    return { redis.call('HEXISTS', transfers, name) == 1 and 'ok' or 'done', kept, user }
  end
  local blocks, unread = possessions(p, args[15])
  if blocks and Blocking.blocks(p, args[15], to) then
    if args[7] == 'm' then heed_sent(p, to, args, not unread) end
    return { 'blocked-by-you', 0, user }
  end
  local at = now()
  redis.call('HSET', transfers, name, cmsgpack.pack({ at, unpack(args) }))
  redis.call('ZADD', K.transferring(p), 'NX', at, user)
  if v[2] then redis.call('HSET', key, highest, count) end
  return { 'ok', counts and keep_inbound(key, tonumber(v[3]), count) or 0, user }
end)

-- confirm: the sender's part after the delivery, and the transfer's end
-- KEYS[1] prefix of the sender's mailbox
-- ARGV account, transfer, status of the delivery, queue limit, quota, kind and stanza of the error for the sender ('' =
--      none)
-- answers {'gone'} (somebody else has confirmed it) | {'ok', position of the error (0: it waits, or there is none; -1: it
--         does not fit), sid, node, position, … of copies}
register('confirm', function(keys, args)
  local p, user, transfers = keys[1], args[1], K.transfers(keys[1], args[1])
  local packed = redis.call('HGET', transfers, args[2])
  if not packed then return { 'gone' } end
  redis.call('HDEL', transfers, args[2])
  if redis.call('EXISTS', transfers) == 0 then redis.call('ZREM', K.transferring(p), user) end
  local sent, answer = cmsgpack.unpack(packed), { 'ok', 0, '', 0 }
  table.remove(sent, 1)
  if sent[7] == 'm' and redis.call('EXISTS', K.account(p, sent[15])) == 1 then
    local to, _, unread = sent[2] == '' and sent[1] or sent[1] .. '/' .. sent[2], possessions(p, sent[15])
    if TAKEN[args[3]] then keep_sent(p, to, sent, answer, not unread) else heed_sent(p, to, sent, not unread) end
  end
  local s = args[7] ~= '' and load(p, sent[14])
  if s and s.state ~= ENDING then
    local position = put(p, s, args[6], '', tostring(now()), '', args[7], limits_of(args, 4), true)
    answer[2] = position or -1
    if position and args[6] == 'm' then fate(p, 'accepted', 1) end
  end
  table.remove(answer, 4)
  table.remove(answer, 3)
  return answer
end)

-- transfers: those of an account that are at least so old, or all
-- KEYS[1] prefix   ARGV account, ms
-- answers {{transfer, ms when it was written, ARGV of `dispatch` …}, …}, in no order
register('transfers', function(keys, args)
  local p, found, at, age = keys[1], {}, now(), tonumber(args[2])
  local all = redis.call('HGETALL', K.transfers(p, args[1]))
  for i = 1, #all, 2 do
    local sent = cmsgpack.unpack(all[i + 1])
    -- one of the future was written before the clock went back: how old it is nobody knows
    if sent[1] <= at - age or sent[1] > at then found[#found + 1] = { all[i], unpack(sent) } end
  end
  if #all == 0 then redis.call('ZREM', K.transferring(p), args[1]) end
  return found
end)

end
