"""Bookmarks of rooms in the two forms that clients use: one list (XEP-0048), or one item each (XEP-0402)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.xmpp import ns
from gateway.xmpp.element import Element
from gateway.xmpp.escape import escape
from gateway.xmpp.inner import default_inside, inner, moved
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.payload import NotAnElement, read
from gateway.xmpp.stanza import peek

_TRUE: Final = frozenset({"true", "1"})


@dataclass(frozen=True, slots=True)
class Bookmark:
    """One room."""

    jid: str
    """bare, prepared"""
    name: str = ""
    autojoin: bool = False
    nick: str = ""
    password: str = ""
    extensions: bytes = b""
    """XEP-0402: the element of that name, with whatever clients put into it; XEP-0048 has no place for it"""

    def is_like(self, other: Bookmark) -> bool:
        """Whether both say the same of the same room, extensions aside."""
        return replace(self, extensions=b"") == replace(other, extensions=b"")

    def to_item(self) -> bytes:
        """The payload of urn:xmpp:bookmarks:1; the room's address is the item's id (XEP-0402 section 3)."""
        inside = self._inside().encode() + self.extensions
        return b"<conference xmlns='%b'%b>%b</conference>" % (ns.BOOKMARKS.encode(), self._attributes(), inside)

    def to_conference(self) -> bytes:
        """The element of XEP-0048, to stand in `<storage xmlns='storage:bookmarks'/>`."""
        begin = f"<conference jid='{escape(self.jid)}'".encode()
        return b"%b%b>%b</conference>" % (begin, self._attributes(), self._inside().encode())

    def _attributes(self) -> bytes:
        name = f" name='{escape(self.name)}'" if self.name else ""
        return f"{name} autojoin='{'true' if self.autojoin else 'false'}'".encode()

    def _inside(self) -> str:
        nick = f"<nick>{escape(self.nick)}</nick>" if self.nick else ""
        return nick + (f"<password>{escape(self.password)}</password>" if self.password else "")


@dataclass(frozen=True, slots=True)
class Storage:
    """A list as XEP-0048 has it. `others` are what is no room, web pages above all, and rooms without an address."""

    bookmarks: tuple[Bookmark, ...]
    others: bytes = b""

    def to_xml(self) -> bytes:
        """The `<storage/>`."""
        inside = b"".join(bookmark.to_conference() for bookmark in self.bookmarks) + self.others
        return b"<storage xmlns='%b'>%b</storage>" % (ns.BOOKMARKS_LEGACY.encode(), inside)


def read_item(name: str, item: bytes) -> Bookmark | None:
    """The bookmark in an `<item/>` or in its payload, by the item's id. None if it is none."""
    try:
        element = peek(item)
        conference = inner(element)[0] if element.name == "item" else element
        if (conference.ns, conference.name) != (ns.BOOKMARKS, "conference"):
            return None
        return _read(name, conference)
    except (NotAnElement, JIDError, IndexError):
        return None


def read_storage(storage: bytes) -> Storage:
    """A list of XEP-0048, or several of them. A room that comes twice is what the last says. Raises NotAnElement."""
    found: dict[str, Bookmark] = {}
    others: list[bytes] = []
    for each in inner(peek(b"<iq xmlns='jabber:client'>%b</iq>" % storage)):
        if (each.ns, each.name) != (ns.BOOKMARKS_LEGACY, "storage"):
            raise NotAnElement("no list of bookmarks")
        default = default_inside(each)
        for child in inner(each):
            bookmark = _room(child)
            if bookmark is not None:
                found[bookmark.jid] = bookmark
            else:
                others.append(moved(child, default=default, into=ns.BOOKMARKS_LEGACY))
    return Storage(tuple(found.values()), b"".join(others))


def _room(element: Element) -> Bookmark | None:
    if (element.ns, element.name) != (ns.BOOKMARKS_LEGACY, "conference"):
        return None
    try:
        return _read(element.attrs.get("jid", ""), element)
    except (NotAnElement, JIDError):
        return None


def _read(jid: str, conference: Element) -> Bookmark:
    room = JID.parse(jid)
    if room.resource or not room.local:
        raise NotAnElement("no room's address")
    fields = next(iter(read(conference.retagged({}), default=conference.ns).values()))
    extensions = [child for child in inner(conference) if child.name == "extensions" and child.ns == ns.BOOKMARKS]
    return Bookmark(
        jid=str(room),
        name=conference.attrs.get("name", ""),
        autojoin=conference.attrs.get("autojoin", "").strip() in _TRUE,
        nick=_text(fields, f"{conference.ns}|nick"),
        password=_text(fields, f"{conference.ns}|password"),
        extensions=b"".join(
            moved(child, default=default_inside(conference), into=ns.BOOKMARKS) for child in extensions[:1]
        ),
    )


def _text(fields: object, name: str) -> str:
    value = fields.get(name) if isinstance(fields, dict) else None
    if isinstance(value, list):
        value = value[0]
    if isinstance(value, dict):
        value = value.get("#text")
    return value if isinstance(value, str) else ""
