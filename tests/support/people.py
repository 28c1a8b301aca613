"""People on the wire: phones that ask for their roster, and what they see of it and of each other."""

from __future__ import annotations

from typing import Protocol
from xml.etree.ElementTree import Element

from gateway.demo.stream import condition_of
from gateway.xmpp import ns
from tests.support.phone import HasAddress, Phone, stanza
from tests.support.processes import Account

IQ, PRESENCE, MESSAGE = stanza("iq"), stanza("presence"), stanza("message")
QUERY = f"{{{ns.ROSTER}}}query"
ITEM = f"{{{ns.ROSTER}}}item"


class House(HasAddress, Protocol):
    """A server with accounts."""

    def account(self) -> Account:
        """An account nobody has used."""
        ...


def request(phone: Phone, type_: str, payload: str, *, to: str = "", id_: str = "q") -> Element:
    """Send an iq and answer its answer; what else comes is skipped."""
    address = f" to='{to}'" if to else ""
    phone.send(f"<iq type='{type_}' id='{id_}'{address}>{payload}</iq>")
    while True:
        element = phone.next()
        if element.tag == IQ and element.get("id") == id_:
            return element


def roster_get(phone: Phone, ver: str | None = None) -> Element:
    """The answer to a request for the roster."""
    attribute = "" if ver is None else f" ver='{ver}'"
    return request(phone, "get", f"<query xmlns='{ns.ROSTER}'{attribute}/>")


def roster_set(phone: Phone, item: str) -> str:
    """The error condition of a roster set, "" if it was taken."""
    return error_of(request(phone, "set", f"<query xmlns='{ns.ROSTER}'>{item}</query>"))


def items_of(query: Element | None) -> dict[str, dict[str, str]]:
    """Contact -> its other attributes, and `groups`."""
    found = {}
    for item in query.findall(ITEM) if query is not None else ():
        attributes = {name: value for name, value in item.attrib.items() if name != "jid"}
        groups = sorted(group.text or "" for group in item)
        found[item.get("jid", "")] = {**attributes, "groups": ",".join(groups)}
    return found


def roster(phone: Phone) -> dict[str, dict[str, str]]:
    """The whole roster."""
    return items_of(roster_get(phone).find(QUERY))


def subscription(phone: Phone, contact: str) -> str:
    """As the roster says it now: "both", "none ask" …"""
    item = roster(phone).get(contact, {"subscription": "-"})
    return item["subscription"] + (" ask" if "ask" in item else "") + (" approved" if "approved" in item else "")


def error_of(element: Element) -> str:
    """The condition of an error stanza, "" if it is none."""
    error = element.find(stanza("error"))
    return "" if element.get("type") != "error" or error is None else condition_of(error)


def everything(phone: Phone) -> list[Element]:
    """All stanzas that came until now."""
    phone.send(f"<iq type='get' id='fence' to='localhost'><ping xmlns='{ns.PING}'/></iq>")
    found: list[Element] = []
    while True:
        element = phone.next()
        if element.tag == IQ and element.get("id") == "fence":
            return found
        found.append(element)


def pushes(elements: list[Element]) -> list[dict[str, dict[str, str]]]:
    """The items of the roster pushes among them."""
    return [items_of(element.find(QUERY)) for element in elements if element.tag == IQ and element.get("type") == "set"]


def presences(elements: list[Element], from_: str = "") -> list[tuple[str, str]]:
    """(from, type) of presence among them; `from_` is how the sender's JID begins."""
    return [
        (element.get("from", ""), element.get("type", ""))
        for element in elements
        if element.tag == PRESENCE and element.get("from", "").startswith(from_)
    ]


def here(house: House, account: Account, resource: str = "phone", presence: str = "<presence/>") -> Phone:
    """A resource that asked for its roster and is available; what came with that is read."""
    phone = Phone(house, account).bind(resource)
    roster_get(phone)
    if presence:
        phone.send(presence)
    everything(phone)
    return phone


def befriend(one: Phone, two: Phone) -> None:
    """Subscribe both ways, and read what comes with that."""
    for a, b in ((one, two), (two, one)):
        a.send(f"<presence to='{b.account.jid}' type='subscribe'/>")
        everything(a)
        b.send(f"<presence to='{a.account.jid}' type='subscribed'/>")
        everything(b)
    for phone in (one, two):
        everything(phone)
