-- Parts of events that end without a push, because another push says the same or because nobody is left to be told.
-- Keys: again:{device} string, retry zset, job:{event}, pushstat, trace

do

-- Ids of stream entries, "ms-number".
local function is_newer(one, other)
  local ms, number = string.match(one, '^(%d+)-(%d+)$')
  local other_ms, other_number = string.match(other, '^(%d+)-(%d+)$')
  if not ms or not other_ms then return false end
  if ms ~= other_ms then return tonumber(ms) > tonumber(other_ms) end
  return tonumber(number) > tonumber(other_number)
end

-- The message push that waits to be tried again for this device: its event's id, and the event as the retries have it.
local function waiting(p, device)
  return string.match(redis.call('GET', K.again(p, device)) or '', '^(%S+) (.*)$')
end

-- The push for this device has no other end: this is it. Answers whether it is.
function Push.withdraw(p, job, device, why)
  if redis.call('HSETNX', job, device, 'withdrawn') == 0 then return false end
  redis.call('EXPIRE', job, 2592000)
  Push.open_parts(job)
  Push.count(p, 'withdrawn:' .. why)
  return true
end

local function supersede(p, user, device, id, length, days)
  if Push.withdraw(p, K.job(p, id), device, 'superseded') then
    Push.note(p, user, length, days, id, 'cancelled', 'superseded', 'device', device)
  end
end

-- A push for a message waits to be tried again. The newest tells of all that waits, so it replaces an older one: what a
-- long outage leaves is one push for each device, and not one for each message.
function Push.wait_again(p, user, device, id, event, seconds, length, days)
  local other, other_event = waiting(p, device)
  if other and is_newer(other, id) then
    redis.call('ZREM', K.retries(p), event)
    return supersede(p, user, device, id, length, days)
  end
  if other and other ~= id and redis.call('ZREM', K.retries(p), other_event) == 1 then
    supersede(p, user, device, other, length, days)
  end
  redis.call('SET', K.again(p, device), id .. ' ' .. event, 'EX', seconds + 86400)
end

-- A retry has come due: it waits no more. Answers whether a newer one does.
function Push.is_superseded(p, device, id)
  local other = waiting(p, device)
  if other == id then redis.call('DEL', K.again(p, device)) end
  return other and is_newer(other, id)
end

-- The device was told of all that waits, so an older push for that need not be tried again.
function Push.told_all(p, user, device, id, length, days)
  local other, other_event = waiting(p, device)
  if not other or not is_newer(id, other) then return end
  redis.call('DEL', K.again(p, device))
  if redis.call('ZREM', K.retries(p), other_event) == 1 then supersede(p, user, device, other, length, days) end
end

-- A worker had claimed the event, and died: parts that it had begun, that wait for no retry and are not to be made again
-- (`found`: registrations that are) end here.
function Push.end_begun(p, user, job, found, why)
  local again = {}
  for i = 1, #found, 2 do again[Push.device(user, found[i])] = true end
  for _, field in ipairs(redis.call('HKEYS', job)) do
    local device = string.match(field, '^~(.*)$')
    if device and not again[device] and redis.call('HEXISTS', job, '>' .. device) == 0 then
      Push.withdraw(p, job, device, why)
    end
  end
end

-- The account goes, and with it what waits for its time.
function Push.leave(p, user)
  for _, event in ipairs(redis.call('ZRANGE', K.retries(p), 0, -1)) do
    local fields = cjson.decode(event)
    if fields.user == user then
      redis.call('ZREM', K.retries(p), event)
      if (fields.only or '') == '' then Push.count(p, 'cancelled:no-registration')
      else
        local device = Push.device(user, fields.only)
        Push.withdraw(p, K.job(p, fields.id), device, 'no-registration')
        redis.call('DEL', K.again(p, device))
      end
      if fields.id then redis.call('DEL', K.job(p, fields.id)) end
    end
  end
end

end
