"""Does this device want to be woken for this message? Pure functions of the message, of what the device said when it
registered (`gateway.mailbox.pushes.Filters`) and of what its account says of the chat (XEP-0492).

Both have to agree. Where neither says anything, everything wakes: XEP-0492 section 4 has `on-mention` for public rooms
alone, and a server cannot tell a public room of somebody else's from a private one. A word about one chat counts more
than what a device says of all rooms that it does not name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from gateway.mailbox.pushes import Filters
from gateway.xmpp.notification_settings import ALWAYS, NEVER, ON_MENTION, ChatSettings, read
from workers.push.summary import Summary

MUTED: Final = "muted"
NO_MENTION: Final = "no-mention"
UNKNOWN_SENDER: Final = "unknown-sender"
OWN: Final = "own"
"""in a room, which sends everybody's messages to everybody"""

MENTIONED: Final = "mentioned"
"""in Filters.rooms, with a colon and the nickname behind it if there is one"""


def read_rules(rules: Mapping[str, bytes]) -> dict[str, ChatSettings]:
    """What stands in the bookmarks of chats (`Send.rules`), by the chats' bare JIDs."""
    return {chat: read(bookmark) for chat, bookmark in rules.items()}


def wants_everything(filters: Filters | None, rules: Mapping[str, object]) -> bool:
    """Whether the verdict is "" whatever the messages are, so that none has to be read."""
    return filters is None and not rules


def verdict(
    message: Summary,
    subscription: str,
    *,
    filters: Filters | None,
    rules: Mapping[str, ChatSettings],
    user: str,
    now_ms: int,
) -> str:
    """Why the message is not worth waking the device, MUTED, NO_MENTION, UNKNOWN_SENDER or OWN; "" if it is.

    `subscription` is what the roster of `user`, a bare JID, says of the sender: "none" is a stranger. A call (XEP-0353)
    is a message like any other here.
    """
    filters = filters or Filters()
    settings = rules.get(message.chat)
    when = settings.when(now_ms) if settings else ""
    if when == NEVER or message.chat in filters.muted:
        return MUTED
    if message.is_groupchat:
        return _in_room(message, filters, settings, when, user)
    if filters.ignore_unknown and subscription == "none" and not _is_known(message.chat, settings, user):
        return UNKNOWN_SENDER
    return ""  # what is said to one alone is meant for him, also where he wants to hear of mentions only


def _in_room(message: Summary, filters: Filters, settings: ChatSettings | None, when: str, user: str) -> str:
    rule, _, filter_nick = _room_rule(message.chat, filters, when).partition(":")
    if rule == NEVER:
        return MUTED
    if message.nick and message.nick in (filter_nick, settings.nick if settings else ""):
        return OWN
    if when != ON_MENTION and rule != MENTIONED:
        return ""
    nicks = {nick for nick in (filter_nick, settings.nick if settings else "") if nick} or {user.partition("@")[0]}
    return "" if is_mentioned(message, user, nicks) else NO_MENTION


def _room_rule(room: str, filters: Filters, when: str) -> str:
    """What the device says of the room. Any rooms in its filters mean that others are to wake it by mentions only."""
    if room in filters.rooms:
        return filters.rooms[room]
    return MENTIONED if filters.rooms and not when else ALWAYS


def _is_known(chat: str, settings: ChatSettings | None, user: str) -> bool:
    """No stranger, though not in the roster: the account itself, its server, somebody in a bookmarked room."""
    return settings is not None or chat in (user, user.partition("@")[2])


def is_mentioned(message: Summary, user: str, nicks: set[str]) -> bool:
    """Whether a message in a room is meant for the account: it says so (XEP-0372), it answers one of the account's
    (XEP-0461), or one of the account's nicknames stands in its text as a word.
    """
    own = {user.casefold(), *(f"{message.chat}/{nick}".casefold() for nick in nicks)}
    if _is_own(message.replied_to, own) or any(_is_own(_address(uri), own) for uri in message.mentions):
        return True
    return any(_word(nick).search(message.body or "") for nick in nicks)


def _is_own(address: str, own: set[str]) -> bool:
    address = address.casefold()
    return address in own or (address.partition("/")[0] in own and "/" in address)


def _address(uri: str) -> str:
    """The JID in an xmpp: URI (RFC 5122), "" for another."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "xmpp":
        return ""
    path = re.split(r"[?#]", rest, maxsplit=1)[0]
    if path.startswith("//"):
        path = path[2:].partition("/")[2]  # behind the account that is to be used
    return unquote(path)


@lru_cache(maxsize=1024)
def _word(nick: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(nick)}(?!\w)", re.IGNORECASE)
