"""XEP-0492: Chat notification settings 0.2.0, as they stand in a bookmark (XEP-0402); and those of 0.1, which clients
still write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.xmpp import ns
from gateway.xmpp.date_time import NotADateTime, read_ms
from gateway.xmpp.payload import NotAnElement
from gateway.xmpp.payload import read as read_payload
from gateway.xmpp.tree import Tree, parse

ALWAYS: Final = "always"
ON_MENTION: Final = "on-mention"
NEVER: Final = "never"
SETTINGS: Final = frozenset({ALWAYS, ON_MENTION, NEVER})

PHONE: Final = ("client", "phone")
"""the identity (XEP-0030) whose settings hold for a device that is pushed"""

DEPTH: Final = 6
"""item, conference, extensions, notify, setting, advanced, mute"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One notification element that is meant for phones. `until_ms` (since 1970) is the end of a `never`; 0 = none."""

    when: str
    until_ms: int = 0


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """What an account wants of one chat. `settings` begin with what counts most; `nick` is the account's there."""

    settings: tuple[Setting, ...] = ()
    nick: str = ""

    def when(self, now_ms: int) -> str:
        """always, on-mention or never; "" if nothing is said for this time."""
        return next((one.when for one in self.settings if not 0 < one.until_ms <= now_ms), "")


def read(bookmark: bytes, identity: tuple[str, str] = PHONE) -> ChatSettings:
    """What an `<item/>` with a bookmark, or its payload, says to clients of this identity; nothing if it is none."""
    try:
        root = parse(bookmark, DEPTH)
    except NotAnElement:
        return ChatSettings()
    for conference in (root, *root.children):
        if (conference.ns, conference.name) == (ns.BOOKMARKS, "conference"):
            return ChatSettings(_settings(conference, identity), _nick(conference))
    return ChatSettings()


def _settings(conference: Tree, identity: tuple[str, str]) -> tuple[Setting, ...]:
    """XEP-0492 section 3: the most specific first. Of two that are equally specific a mute that ends counts before the
    one that is to hold afterwards.
    """
    ranked = []
    for element in _elements(conference):
        rank = _rank(element, identity)
        if rank is not None:
            setting = Setting(element.name, _until(element) if element.name == NEVER else 0)
            ranked.append((rank, setting.until_ms == 0, setting))
    return tuple(setting for _, _, setting in sorted(ranked, key=lambda one: one[:2]))


def _elements(conference: Tree) -> list[Tree]:
    """The notification elements, of the newest version that is there."""
    parents = [*conference.named(ns.BOOKMARKS, "extensions"), conference]
    for version in (ns.NOTIFY, ns.NOTIFY_0):
        notify = [child for parent in parents for child in parent.named(version, "notify")]
        if notify:
            return [child for one in notify for child in one.children if child.ns == version and child.name in SETTINGS]
    return []


def _rank(element: Tree, identity: tuple[str, str]) -> int | None:
    """0 is the most specific; None: meant for others."""
    category, type_ = element.attrs.get("identity-category"), element.attrs.get("identity-type")
    if element.ns == ns.NOTIFY_0 and "client-type" in element.attrs:
        category, type_ = "client", element.attrs["client-type"]
    if category is None:
        return 2 if type_ is None else None
    if category != identity[0]:
        return None
    if type_ is None:
        return 1
    return 0 if type_ == identity[1] else None


def _until(element: Tree) -> int:
    """The end of the mute, ms since 1970; 0 if it has none. One that cannot be read is none: it stays silent."""
    for advanced in element.named(element.ns, "advanced"):
        for mute in advanced.named(ns.NOTIFY_MUTE, "mute"):
            try:
                return max(1, read_ms(mute.attrs.get("until", ""))[0])
            except NotADateTime:
                return 0
    return 0


def _nick(conference: Tree) -> str:
    for nick in conference.named(ns.BOOKMARKS, "nick"):
        value = next(iter(read_payload(nick.xml).values()))
        if isinstance(value, dict):
            value = value.get("#text")
        return value if isinstance(value, str) else ""
    return ""
