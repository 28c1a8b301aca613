"""Clients that rest (XEP-0352), and who writes to them."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from gateway.xmpp import ns
from tests.support.exchange import MESSAGE, PRESENCE, everything
from tests.support.phone import Phone, online, sm, stanza
from tests.support.processes import Server

ACTIVE, INACTIVE = f"<active xmlns='{ns.CSI}'/>", f"<inactive xmlns='{ns.CSI}'/>"


def romeo(server: Server) -> Phone:
    return online(server, server.account(), "orchard")


def resting(server: Server, resource: str = "phone") -> Phone:
    """A phone that is inactive, with everything acknowledged; the server knows."""
    phone = online(server, server.account(), resource)
    phone.send(INACTIVE)
    until_now(phone)
    return phone


def until_now(phone: Phone) -> list[Element]:
    """What the server wrote until now. The fence is no stanza, so it disturbs nothing that waits."""
    phone.ack()
    phone.send(f"<r xmlns='{ns.SM}'/>")
    found: list[Element] = []
    while (element := phone.next()).tag != sm("a"):
        found.append(element)
    return found


def names(elements: list[Element]) -> list[str]:
    """Bodies of messages, or what their first child is; types of presence."""
    found = []
    for each in elements:
        if each.tag == MESSAGE:
            body = each.findtext(stanza("body"))
            found.append(body if body is not None else each[0].tag.rpartition("}")[2])
        elif each.tag == PRESENCE:
            found.append(each.findtext(stanza("status")) or each.get("type", "presence"))
    return found


def tell(sender: Phone, to: Phone, *inner: str, type_: str = "chat") -> None:
    """Sends messages; returns when they are in their mailbox."""
    for each in inner:
        sender.send(f"<message to='{to.jid}' type='{type_}'>{each}</message>")
    everything(sender)


def say(text: str) -> str:
    return f"<body>{text}</body>"


def state(name: str) -> str:
    return f"<{name} xmlns='{ns.CHATSTATES}'/>"


RECEIPT = f"<received xmlns='{ns.RECEIPTS}' id='m0'/>"
