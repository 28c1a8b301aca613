"""What a phone is told by others, whenever it comes: nothing here is over when a request has been answered."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element

from gateway.xmpp import ns
from tests.support.eventing import is_event
from tests.support.exchange import copy_of
from tests.support.people import IQ, ITEM, MESSAGE, PRESENCE, QUERY
from tests.support.phone import Phone, stanza

BODY = stanza("body")


def until(phone: Phone, matches: Callable[[Element], bool]) -> Element:
    """The first element that matches; others are passed over. Raises ServerSilent if it does not come."""
    while True:
        element = phone.next()
        if matches(element):
            return element


def presence(phone: Phone, from_: str, type_: str = "", status: str | None = None) -> Element:
    """The next presence from this JID, or bare JID, of this type."""

    def matches(element: Element) -> bool:
        is_from = (element.get("from") or "").startswith(from_) and element.get("type", "") == type_
        return element.tag == PRESENCE and is_from and status in (None, element.findtext(stanza("status")))

    return until(phone, matches)


def body(phone: Phone) -> str:
    """The next message's body, be it a copy's or not."""
    message = until(phone, lambda element: element.tag == MESSAGE and not is_event(element))
    return message.findtext(BODY) or "copy: " + copy_of(message, phone).body


def push(phone: Phone) -> dict[str, str]:
    """The item of the next roster push, but for its groups."""
    found = until(phone, lambda element: element.tag == IQ and element.find(QUERY) is not None).find(f"{QUERY}/{ITEM}")
    assert found is not None
    return dict(found.attrib)


def fence(phone: Phone) -> list[Element]:
    """What came until now."""
    phone.send(f"<iq type='get' id='two' to='localhost'><ping xmlns='{ns.PING}'/></iq>")
    found: list[Element] = []
    while (element := phone.next()).get("id") != "two":
        found.append(element)
    return found
