-- Who has left, or faded from sight, and of whom not all contacts have been told yet.   Keys: out stream

do

local LOOKED_AT = 200   -- newest entries of the outbox; what is older a sweeper has seen

-- A contact is about to learn no more of the account: of these sessions too it is told now that they are gone, since
-- whoever works off the outbox will find it no contact any more.
function Presence.untold(p, user, to, found)
  for _, entry in ipairs(redis.call('XREVRANGE', K.outbox(p), '+', '-', 'COUNT', LOOKED_AT)) do
    local fields = {}
    for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
    if fields['do'] == 'presence' and fields.user == user then
      local n = #found
      found[n + 1] = user .. '/' .. fields.resource
      found[n + 2] = "<presence from='" .. fields.jid .. "' to='" .. to .. "' type='unavailable'/>"
    end
  end
end

end
