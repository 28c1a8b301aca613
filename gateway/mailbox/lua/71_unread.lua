-- How many messages of an account nobody has looked at yet: what an app's badge shows. A conversation is the other
-- party's bare JID; it is read when one of the account's devices says so (XEP-0333, XEP-0490), or answers.
-- Keys: unread:{user} zset, all of score 0: conversation, line feed, time padded so that the members' order is that of
--       their arrival [, line feed, the message's digest]; read:{user} hash: conversation -> ms of the newest time that
--       something of it was read; acct:{user} (read_at; displayed: a request), dir:{sid}

do
  local MOST = 1000          -- messages counted of one account; a badge shows no more
  local LASTING = 2592000    -- seconds after about the last message: what was not looked at in 30 days is no news
  local TURN = 5             -- one message in so many does what need not be done for each
  local LONGEST_NAME = 100
  local REMEMBERED, FOR = 200, 86400   -- conversations that were read, and for how many seconds
  local COPIES = 8           -- so many messages of a room may come before the copy of one for another device

  local last_seq = 0         -- keeps apart what came in the same ms; it may begin anew with the process

  local function name_of(jid)
    local bare = bare_of(jid)
    return #bare > LONGEST_NAME and redis.sha1hex(bare) or bare
  end

  -- A stamp, 'ms' or 'ms-seq', as text that sorts like the time; `seq` for what has none.
  local function sortable(stamp, seq)
    local ms, own = string.match(stamp, '^(%d+)%-?(%d*)$')
    return string.format('%015.0f-%07.0f', math.min(tonumber(ms), 1e14), math.min(tonumber(own) or seq, 9999999))
  end

  local function time_in(member) return string.match(member, '\n(%d+%-%d+)') end

  -- What is too many goes, rather what is old, and rather of who sent many.
  local function trim(key)
    for _ = 1, math.min(redis.call('ZCARD', key) - MOST, 4 * TURN) do
      local oldest
      for _, member in ipairs(redis.call('ZRANDMEMBER', key, 5)) do
        if not oldest or time_in(member) < time_in(oldest) then oldest = member end
      end
      redis.call('ZREM', key, oldest)
    end
  end

  -- A room sends a message to each device that is in it: is this one counted already?
  local function is_counted(key, name, digest)
    for _, member in ipairs(redis.call('ZRANGE', key, '(' .. name .. '\011', '[' .. name .. '\n', 'BYLEX', 'REV',
      'LIMIT', 0, COPIES)) do
      if string.sub(member, -#digest) == digest then return true end
    end
    return false
  end

  -- A message that wakes was taken, by an account with registrations. `sid`: the session it is for, if it was for one
  -- alone; `is_first`: nothing is unread yet.
  function Unread.count(p, user, sender, type, flags, stamp, body, sid, is_first)
    if has(flags, 'u') or has(flags, 'o') or bare_of(sender) == user then return end
    local key, name, digest = K.unread(p, user), name_of(sender), ''
    if type == 'groupchat' then
      -- what comes from the very occupant as which this device is in the room, it has sent itself
      if sid and redis.call('SISMEMBER', K.directed(p, sid), sender) == 1 then return end
      digest = '\n' .. string.sub(redis.sha1hex((string.gsub(body, "%sto=(['\"]).-%1", '', 1))), 1, 12)
      if is_counted(key, name, digest) then return end
    end
    last_seq = (last_seq + 1) % 1000000
    redis.call('ZADD', key, 0, name .. '\n' .. sortable(stamp, last_seq) .. digest)
    local is_turn = string.byte(stamp, 13) % TURN == 0   -- the last digit of the ms
    if is_first or is_turn then redis.call('EXPIRE', key, LASTING) end
    if is_turn then trim(key) end
  end

  -- The account has seen this conversation: all of it, or as far as an archive id.
  function Unread.read(p, user, with, upto)
    local name = name_of(with)
    local last = upto and '[' .. name .. '\n' .. sortable(upto, 0) .. '\255' or '(' .. name .. '\011'
    if redis.call('ZREMRANGEBYLEX', K.unread(p, user), '[' .. name .. '\n', last) == 0 then return end
    if redis.call('EXISTS', K.account(p, user)) == 0 then return end
    local key = K.read(p, user)
    redis.call('HSET', K.account(p, user), 'read_at', now())
    if redis.call('HLEN', key) >= REMEMBERED then redis.call('DEL', key) end   -- then one is pushed once too often
    redis.call('HSET', key, name, now())
    redis.call('EXPIRE', key, FOR)
  end

  -- Was this message read? Its conversation was, since it came, and it is not among what is unread.
  function Unread.is_read(p, user, sender, stamp)
    local name, ms = name_of(sender), tonumber(string.match(stamp, '^%d+'))
    if tonumber(redis.call('HGET', K.read(p, user), name) or 0) < ms then return false end
    local low, high = sortable(tostring(ms), 0), sortable(tostring(ms + 1), 0)
    return #redis.call('ZRANGE', K.unread(p, user), '[' .. name .. '\n' .. low, '(' .. name .. '\n' .. high, 'BYLEX',
      'LIMIT', 0, 1) == 0
  end

  -- What the account itself sent says that it has seen the conversation: a marker, or an answer.
  function Unread.sent(p, user, to, flags)
    if has(flags, 'v') or has(flags, 'w') and not has(flags, 'u') then Unread.read(p, user, to) end
  end

  -- ms of the newest time that something was read; 0: never yet.
  function Unread.read_at(p, user) return tonumber(redis.call('HGET', K.account(p, user), 'read_at') or 0) end

  -- How many messages are unread; nil: none was counted yet, so that nobody knows.
  function Unread.total(p, user)
    local n = redis.call('ZCARD', K.unread(p, user))
    if n == 0 and Unread.read_at(p, user) == 0 then return nil end
    return math.min(n, MOST)
  end

  -- displayed: a device says how far a conversation has been displayed (XEP-0490)
  -- KEYS[1] prefix   ARGV user, the conversation's JID, archive id ('' = all there is by now), the request's name ('' =
  --      none): what comes again after a lost connection takes nothing that came meanwhile   answers 'ok'
  register('displayed', function(keys, args)
    local p, user, upto = keys[1], args[1], string.match(args[3], '^%d+%-%d+$')
    local account, request = K.account(p, user), args[4] or ''
    if redis.call('EXISTS', account) == 0 then return 'ok' end
    if request ~= '' then
      if redis.call('HGET', account, 'displayed') == request then return 'ok' end
      redis.call('HSET', account, 'displayed', request)
    end
    Unread.read(p, user, args[2], upto)
    return 'ok'
  end)

  -- unread: KEYS[1] prefix   ARGV user   answers {messages (-1 = not known), ms of the newest time one was read}
  register('unread', function(keys, args)
    return { Unread.total(keys[1], args[1]) or -1, Unread.read_at(keys[1], args[1]) }
  end)
end
