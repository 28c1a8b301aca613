-- What an account wants to hear of a chat (XEP-0492) stands in its bookmark of the chat (XEP-0402), and is read there:
-- a copy would have to follow every way in which items come and go.
-- Keys: pubi:{user}:urn:xmpp:bookmarks:1

do
  local NODE, LARGEST = 'urn:xmpp:bookmarks:1', 16384

  -- The bookmarks of these chats (bare JIDs), as they were published: {chat, <item/>, …}. One that is larger than any
  -- that a client would publish is left out, as those are that have none.
  function Notify.rules(p, user, chats)
    local key, found, seen = K.node_items(p, user, NODE), {}, {}
    for _, chat in ipairs(chats) do
      if chat ~= '' and not seen[chat] then
        seen[chat] = true
        local size = redis.call('HSTRLEN', key, chat)
        if size > 0 and size <= LARGEST then
          local n, item = #found, Pubsub.read_item(p, user, NODE, chat)
          found[n + 1], found[n + 2] = chat, item
        end
      end
    end
    return found
  end
end
