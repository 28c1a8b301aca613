"""What transcripts of several phones share: everything that came, requests and their answers, copies of messages."""

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from gateway.demo.stream import condition_of
from gateway.xmpp import ns
from tests.support.phone import Phone, stanza

MESSAGE, PRESENCE, IQ = stanza("message"), stanza("presence"), stanza("iq")
FORWARDED = f"{{{ns.FORWARD}}}forwarded"
DELAY = f"{{{ns.DELAY}}}delay"


def everything(phone: Phone, *names: str) -> list[Element]:
    """All stanzas of these names (none given: messages) that came until now, in order."""
    phone.send(f"<iq type='get' id='fence' to='localhost'><ping xmlns='{ns.PING}'/></iq>")
    found: list[Element] = []
    while True:
        element = phone.next()
        if element.tag == IQ and element.get("id") == "fence":
            return [each for each in found if each.tag in (names or (MESSAGE,))]
        found.append(element)


def request(phone: Phone, type_: str, payload: str, to: str = "") -> Element:
    """An iq request and its answer; what else comes before the answer is skipped."""
    address = f" to='{to}'" if to else ""
    phone.send(f"<iq type='{type_}' id='ask'{address}>{payload}</iq>")
    while True:
        element = phone.next()
        if element.tag == IQ and element.get("id") == "ask":
            return element


def error_of(element: Element) -> tuple[str, str]:
    """Type and condition of an error stanza."""
    error = element.find(stanza("error"))
    assert error is not None and "error" == element.get("type"), f"no error: {element.tag} {element.attrib}"
    return error.get("type", ""), condition_of(error)


def enable_carbons(phone: Phone) -> Phone:
    """XEP-0280 section 4."""
    assert "result" == request(phone, "set", f"<enable xmlns='{ns.CARBONS}'/>").get("type")
    return phone


@dataclass(frozen=True, slots=True)
class Copy:
    """A carbon copy that is as XEP-0280 says. `way` is sent or received."""

    way: str
    message: Element
    delay: Element | None

    @property
    def body(self) -> str:
        return self.message.findtext(stanza("body")) or ""


def copy_of(wrapper: Element, phone: Phone) -> Copy:
    """Reads a copy, and checks the wrapper: from the own account, to this device, the same type, nothing else in it."""
    assert MESSAGE == wrapper.tag and 1 == len(wrapper), f"no copy: {wrapper.tag} {[child.tag for child in wrapper]}"
    assert (phone.account.jid, phone.jid) == (wrapper.get("from"), wrapper.get("to"))
    way = wrapper[0].tag
    assert way in (f"{{{ns.CARBONS}}}sent", f"{{{ns.CARBONS}}}received") and [FORWARDED] == [c.tag for c in wrapper[0]]
    message = wrapper[0].find(f"{FORWARDED}/{MESSAGE}")
    assert message is not None and _type(message) == _type(wrapper)
    return Copy(way.rpartition("}")[2], message, wrapper[0].find(f"{FORWARDED}/{DELAY}"))


def _type(message: Element) -> str:
    """RFC 6121 section 5.2.2: what nobody knows is normal."""
    written = message.get("type", "normal")
    return written if written in ("chat", "error", "groupchat", "headline") else "normal"


def shown(phone: Phone, messages: list[Element]) -> list[str]:
    """The messages as a person sees them: `body`, or for copies `sent: body` and `received: body`."""
    found = []
    for message in messages:
        if message.find(stanza("body")) is None and len(message) and message[0].tag.startswith(f"{{{ns.CARBONS}}}"):
            copy = copy_of(message, phone)
            found.append(f"{copy.way}: {copy.body}")
        else:
            found.append(message.findtext(stanza("body")) or "")
    return found
