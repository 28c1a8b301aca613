-- Has Redis lost what it had answered? After a failover, or a restart from an old file, its data is what it was some
-- time ago. What clients were told is compared with that before anything new is written.
-- Keys: line string, losses hash, fence string, node:{node} set, s:{sid} hash, old:{user} hash, and those of
-- acknowledgement and end

-- fence: a write, so that WAIT behind it covers all that was written before, by whomever   KEYS[1] prefix
register('fence', function(keys) return redis.call('SET', K.fence(keys[1]), '') end)

-- run_id: which start of which server this is   KEYS[1] prefix
register('run_id', function() return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') end)

-- survey: on a server that was not master of this bucket before, keep how far each live session's queue reaches. Every
-- process asks for it before it does anything else, so nobody has written yet: a position beyond that is not the one
-- that a client may have been given under the same number.
-- KEYS[1] prefix   ARGV run id, node, …   answers the number of sessions, -1 if that was done already
register('survey', function(keys, args)
  local p, n = keys[1], 0
  local before = redis.call('GET', K.timeline(p))
  if before == args[1] then return -1 end
  for i = 2, before and #args or 0 do
    for _, sid in ipairs(redis.call('SMEMBERS', K.owned(p, args[i]))) do
      local key = K.session(p, sid)
      local v = redis.call('HMGET', key, 'tail', 'kept')
      if v[1] and not v[2] then   -- the older mark holds until somebody has verified the session
        redis.call('HSET', key, 'kept', v[1])
        n = n + 1
      end
    end
  end
  redis.call('SET', K.timeline(p), args[1])
  return n
end)

local function note_losses(p, acknowledged, delivered)
  redis.call('HINCRBY', K.losses(p), 'sessions', 1)
  if acknowledged > 0 then redis.call('HINCRBY', K.losses(p), 'acknowledged', acknowledged) end
  if delivered > 0 then redis.call('HINCRBY', K.losses(p), 'delivered', delivered) end
end

-- A session that is no more: it ended in order if it reached at least as far as its owner knows, else by a loss.
-- Who asks again after 'behind' hears of a loss again.
local function verify_ended(p, claim)
  local v = redis.call('HMGET', K.old(p, claim.user), claim.sid, claim.sid .. REACH)
  if not v[1] then return { 'gone', 0, 0, 0 } end
  local h, epoch, kept = tonumber(v[1]), string.match(v[2] or '0 0', '(%d+) (%d+)')
  epoch, kept = tonumber(epoch), tonumber(kept)
  local is_whole = epoch >= claim.epoch and kept >= claim.sent and h >= claim.told
  return { is_whole and 'stale' or 'gone', kept, h, kept }
end

-- What a session's owner knows of it, against what is kept. One that is behind ends: its positions and counts would
-- be given a second time, for something else.
local function verify(p, claim, rule)
  local v = redis.call('HMGET', K.session(p, claim.sid), 'state', 'epoch', 'node', 'kept', 'h', 'tail')
  if not v[1] or v[1] == ENDING then return verify_ended(p, claim) end
  local epoch, h, tail = tonumber(v[2]), tonumber(v[5]), tonumber(v[6])
  local kept = tonumber(v[4] or v[6])
  if epoch > claim.epoch or epoch == claim.epoch and v[3] ~= '' and v[3] ~= rule.node then
    return { 'stale', kept, h, tail }
  end
  local s = own(p, claim.sid, v[2])
  local upto = math.min(claim.acked, kept)   -- an acknowledgement may be lost as well
  if upto > s.acked then acknowledge(p, s, upto) end
  if epoch == claim.epoch and claim.sent <= kept and claim.told <= h then
    redis.call('HDEL', K.session(p, s.sid), 'kept')
    return { 'ok', kept, h, visible(s) }
  end
  note_losses(p, math.max(0, claim.told - h), math.max(0, claim.sent - kept))
  begin_end(p, s, plan(p, s, rule.resend, rule.limits), rule.max_old, rule.limits, {})
  end_piece(p, s, rule.limits, {})
  return { 'behind', kept, h, tail }
end

-- verify: what the owner of sessions told their clients
-- KEYS[1] prefix
-- ARGV node, resend_on_timeout, queue limit, quota, old h kept;
--      then of each session: bare JID, sid, epoch, position sent, position acknowledged, inbound count told
-- answers of each session {'ok' | 'behind' | 'gone' | 'stale', position kept, inbound count kept, tail}
register('verify', function(keys, args)
  local rule = { node = args[1], resend = args[2], limits = limits_of(args, 3), max_old = tonumber(args[5]) }
  local answer = {}
  for i = 6, #args, 6 do
    local claim = { user = args[i], sid = args[i + 1], epoch = tonumber(args[i + 2]), sent = tonumber(args[i + 3]),
      acked = tonumber(args[i + 4]), told = tonumber(args[i + 5]) }
    answer[#answer + 1] = verify(keys[1], claim, rule)
  end
  return answer
end)
