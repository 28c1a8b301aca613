-- Calls by XEP-0353: which are over, and which devices rang. An id is the caller's choice, so what somebody else says
-- about the same id is about another call.
-- Keys: calls:{user} hash: id -> JSON {at: ms of the last change, by: caller's bare JID -> is it over, how: the latest
--       of them ended, rang: registrations (fields of push:{user}) that were told of it}; expires soon after the last
--       change

do
  local NS = 'urn:xmpp:jingle-message:0'
  local LASTING = 120
  local MOST, MOST_CALLERS, LONGEST_ID = 32, 8, 256
  local ENDS_OF_CALLER = { retract = true, finish = true }
  local ENDS_OF_ACCOUNT = { accept = true, proceed = true, reject = true, finish = true }
  local ENTITIES = { ['&lt;'] = '<', ['&gt;'] = '>', ['&quot;'] = '"', ['&apos;'] = "'", ['&amp;'] = '&' }

  -- The attributes of the start tag whose name ends before `at`.
  local function attributes(body, at)
    local found = {}
    while true do
      local name, _, value, after = string.match(body, "^%s+([^%s=/>]+)%s*=%s*(['\"])(.-)%2()", at)
      if not name then return found end
      found[name], at = value, after
    end
  end

  -- What a stanza says about a call: its verb, one of `verbs`, and the call's id; or nil. That there is such a child
  -- the gateway has seen (flags u and x); here only the id is to be found.
  local function read(body, verbs)
    for name, at in string.gmatch(body, '<([^%s/>!?]+)()') do
      local verb = string.match(name, '[^:]+$')
      if verbs[verb] then
        local found = attributes(body, at)
        local id = found.id and (found.xmlns or NS) == NS and string.gsub(found.id, '&%l+;', ENTITIES)
        if id and id ~= '' and #id <= LONGEST_ID then return verb, id end
      end
    end
  end

  local function call_of(p, user, id)
    local kept = redis.call('HGET', K.calls(p, user), id)
    return kept and cjson.decode(kept)
  end

  -- Too many at once: the oldest goes for which nobody's phone rings.
  local function make_room(key)
    if redis.call('HLEN', key) < MOST then return end
    local all, oldest, at = redis.call('HGETALL', key), nil, math.huge
    for i = 1, #all, 2 do
      local call = cjson.decode(all[i + 1])
      local age = call.at + (#call.rang > 0 and 1e15 or 0)
      if age < at then oldest, at = all[i], age end
    end
    redis.call('HDEL', key, oldest)
  end

  local function keep(p, user, id, call)
    local key = K.calls(p, user)
    call.at = now()
    if redis.call('HEXISTS', key, id) == 0 then make_room(key) end
    redis.call('HSET', key, id, cjson.encode(call))
    redis.call('EXPIRE', key, LASTING)
  end

  local function is_over(call)
    for _, over in pairs(call.by) do
      if not over then return false end
    end
    return next(call.by) ~= nil
  end

  -- The id of a <propose/> in a stanza's bytes, or ''.
  function Calls.id(body)
    local _, id = read(body, { propose = true })
    return id or ''
  end

  -- Has it been retracted, or answered or rejected by one of the account's devices?
  function Calls.is_over(p, user, id)
    local call = id ~= '' and call_of(p, user, id)
    return call and is_over(call) or false
  end

  -- How it ended: 'call-answered' (or rejected) by one of the account's devices, else 'call-ended'.
  function Calls.how(p, user, id)
    local call = id ~= '' and call_of(p, user, id)
    return call and call.how or 'call-ended'
  end

  -- A registration is told of the call.
  function Calls.rang(p, user, id, field)
    if id == '' or redis.call('EXISTS', K.account(p, user)) == 0 then return end   -- the account may be gone by now
    local call = call_of(p, user, id) or { by = {}, rang = {} }
    for _, known in ipairs(call.rang) do
      if known == field then return end
    end
    call.rang[#call.rang + 1] = field
    keep(p, user, id, call)
  end

  -- Registrations that rang and were not told of the end yet. They are forgotten.
  function Calls.rung(p, user, id)
    local call = id ~= '' and call_of(p, user, id)
    if not call or #call.rang == 0 then return {} end
    local rang = call.rang
    call.rang = {}
    keep(p, user, id, call)
    return rang
  end

  -- Of one caller it has ended: whoever rang is told, but for the device that said so, which has the session `sid`.
  local function finish(p, user, id, call, how, sid)
    call.how = how
    if is_over(call) then
      local left = {}
      for _, field in ipairs(call.rang) do
        local registration = redis.call('HGET', K.registrations(p, user), field)
        if registration and (not sid or cjson.decode(registration).sid ~= sid) then left[#left + 1] = field end
      end
      call.rang = left
    end
    keep(p, user, id, call)
    if is_over(call) and #call.rang > 0 then Push.call_ended(p, user, id, how) end
  end

  -- The call, with this caller among those who use its id; nil if those are too many to be honest.
  local function call_by(p, user, id, caller)
    local call, callers = call_of(p, user, id) or { by = {}, rang = {} }, 0
    for _ in pairs(call.by) do callers = callers + 1 end
    if call.by[caller] == nil and callers >= MOST_CALLERS then return nil end
    return call
  end

  -- A call comes in. Answers false if its caller has taken it back already: stanzas may overtake each other, and nobody
  -- answers what is over.
  function Calls.proposed(p, user, caller, body)
    local id = Calls.id(body)
    if id == '' or redis.call('HLEN', K.registrations(p, user)) == 0 then return true end
    local call = call_by(p, user, id, caller)
    if not call then return true end
    if call.by[caller] then return false end
    call.by[caller] = false
    keep(p, user, id, call)
    return true
  end

  -- The caller takes it back, or has finished.
  function Calls.retracted(p, user, caller, body)
    local verb, id = read(body, ENDS_OF_CALLER)
    if not verb or redis.call('HLEN', K.registrations(p, user)) == 0 then return end
    local call = call_by(p, user, id, caller)
    if not call or call.by[caller] or verb == 'finish' and call.by[caller] == nil then return end
    call.by[caller] = true
    finish(p, user, id, call, 'call-ended')
  end

  -- One of the account's devices, with the session `sid`, has answered or rejected it. `caller`: to whom it said so;
  -- the account itself if it told but its own devices (XEP-0353 before version 0.4).
  function Calls.answered(p, user, caller, body, sid)
    local verb, id = read(body, ENDS_OF_ACCOUNT)
    local call = verb and call_of(p, user, id)
    if not call or is_over(call) or caller ~= user and call.by[caller] ~= false then return end
    for known in pairs(call.by) do
      if known == caller or caller == user then call.by[known] = true end
    end
    finish(p, user, id, call, 'call-answered', sid)
  end

  -- A message came that ends a call: of the other party, or of the account itself to itself.
  function Calls.told(p, user, sender, body, sid)
    if sender == user then return Calls.answered(p, user, user, body, sid) end
    Calls.retracted(p, user, sender, body)
  end
end
