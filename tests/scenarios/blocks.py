"""Requests of the blocking command (XEP-0191)."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from gateway.demo.stream import condition_of
from gateway.xmpp import ns
from tests.support.phone import Phone, online, stanza
from tests.support.processes import Server

MESSAGE, PRESENCE, IQ = stanza("message"), stanza("presence"), stanza("iq")
ITEM = f"{{{ns.BLOCKING}}}item"


def ask(phone: Phone, type_: str, payload: str, to: str = "") -> Element:
    """An iq request and its answer; what else comes before the answer is skipped."""
    address = f" to='{to}'" if to else ""
    phone.send(f"<iq type='{type_}' id='ask'{address}>{payload}</iq>")
    while True:
        element = phone.next()
        if element.tag == IQ and element.get("id") == "ask":
            return element


def items(*jids: str) -> str:
    return "".join(f"<item jid='{jid}'/>" for jid in jids)


def block(phone: Phone, *jids: str) -> Element:
    return ask(phone, "set", f"<block xmlns='{ns.BLOCKING}'>{items(*jids)}</block>")


def unblock(phone: Phone, *jids: str) -> Element:
    return ask(phone, "set", f"<unblock xmlns='{ns.BLOCKING}'>{items(*jids)}</unblock>")


def listed(phone: Phone) -> list[str | None]:
    answer = ask(phone, "get", f"<blocklist xmlns='{ns.BLOCKING}'/>")
    assert "result" == answer.get("type")
    return [item.get("jid") for item in answer.iter(ITEM)]


def everything(phone: Phone) -> list[Element]:
    """All stanzas but presence of the own devices that came until now."""
    phone.send(f"<iq type='get' id='fence' to='localhost'><ping xmlns='{ns.PING}'/></iq>")
    found: list[Element] = []
    while True:
        element = phone.next()
        if element.tag == IQ and element.get("id") == "fence":
            return [each for each in found if not (each.get("from") or "").startswith(f"{phone.account.jid}/")]
        found.append(element)


def error_of(element: Element) -> tuple[str, str]:
    """Type and condition of an error stanza."""
    error = element.find(stanza("error"))
    assert error is not None and "error" == element.get("type"), f"no error: {element.tag} {element.attrib}"
    return error.get("type", ""), condition_of(error)


def pushed(phone: Phone, name: str) -> list[str | None]:
    """The addresses of the push that comes next."""
    push = phone.skip_to(IQ, PRESENCE)
    command = push.find(f"{{{ns.BLOCKING}}}{name}")
    assert "set" == push.get("type") and command is not None
    assert push.get("from") in (None, phone.account.jid) and phone.jid == push.get("to")
    phone.send(f"<iq type='result' id='{push.get('id')}'/>")
    return [item.get("jid") for item in command]


def pair(server: Server) -> tuple[Phone, Phone]:
    """Juliet, who blocks, and Romeo."""
    return online(server, server.account()), online(server, server.account())
