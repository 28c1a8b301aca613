-- Who may: block lists and subscriptions, as every operation asks for them; and the tables by which files find each other
-- Keys: block:{user} set of JIDs, roster:{user} hash of JSON

local Roster, Presence, Pubsub, Archive, Blocking = {}, {}, {}, {}, {}

-- Does this account block that JID (XEP-0191 section 2: full, bare, domain with resource, domain)?
function Blocking.blocks(p, user, jid)
  local key = K.blocked(p, user)
  if redis.call('EXISTS', key) == 0 then return false end
  local bare, resource = string.match(jid, '^([^/]*)(/?.*)$')
  local domain = string.match(bare, '([^@]*)$')
  for _, found in ipairs(redis.call('SMISMEMBER', key, jid, bare, domain .. resource, domain)) do
    if found == 1 then return true end
  end
  return false
end

-- What this account's roster says of a contact (a bare JID): 'none' 'to' 'from' 'both'.
function Roster.subscription(p, user, contact)
  local item = redis.call('HGET', K.roster(p, user), contact)
  return item and cjson.decode(item).s or 'none'
end

local function bare_of(jid) return string.match(jid, '^[^/]*') end
