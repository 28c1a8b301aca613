"""A phone under a test's hand: nothing is sent, answered or acknowledged that the test did not ask for."""

from typing import Protocol
from xml.etree.ElementTree import Element

from gateway.demo.stream import STREAM_ERROR, Address, ClientStream, StreamEnded, condition_of
from gateway.xmpp import ns
from tests.support.processes import PASSWORD, Account


class HasAddress(Protocol):
    """What a phone needs to know of a server."""

    def address(self) -> Address:
        """Where to connect."""
        ...


def sm(name: str) -> str:
    """The tag of a XEP-0198 element."""
    return f"{{{ns.SM}}}{name}"


def stanza(name: str) -> str:
    """The tag of a stanza, or of a stanza's own child (body, error)."""
    return f"{{{ns.CLIENT}}}{name}"


_open: list["Phone"] = []


def close_phones() -> None:
    """Cuts what a test left open."""
    while _open:
        _open.pop().cut()


class Phone:
    """One stream.

    `inbound` counts the stanzas received since `<enabled/>` or `<resumed/>`, plus those of before a resumption.
    """

    def __init__(self, server: HasAddress, account: Account, *, lang: str = "en") -> None:
        self.account = account
        self.stream = ClientStream(server.address(), lang=lang)
        self.jid = ""
        self.session_id = ""
        self.inbound = 0
        self.requests = 0
        _open.append(self)
        self.stream.connect()
        self.features = self.stream.authenticate(account.name, PASSWORD)

    # Steps of a session

    def bind(self, resource: str = "phone") -> "Phone":
        request = f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'><resource>{resource}</resource></bind></iq>"
        answer = self.stream.request(request, stanza("iq"))
        self.jid = answer.findtext(f"{{{ns.BIND}}}bind/{{{ns.BIND}}}jid") or ""
        return self

    def enable(self, attributes: str = "resume='true'") -> Element:
        """Sends `<enable/>` and answers what comes: `<enabled/>` or `<failed/>`."""
        self.send(f"<enable xmlns='{ns.SM}' {attributes}/>")
        return self.enabled()

    def enabled(self) -> Element:
        answer = self.next()
        self.session_id = answer.get("id", "")
        self.inbound = 0
        return answer

    def resume(self, previd: str, h: int) -> Element:
        """Sends `<resume/>` and answers what comes: `<resumed/>` or `<failed/>`."""
        self.send(f"<resume xmlns='{ns.SM}' previd='{previd}' h='{h}'/>")
        answer = self.next()
        if answer.tag == sm("resumed"):
            self.session_id, self.inbound = previd, h
        return answer

    def available(self) -> "Phone":
        """Initial presence; returns when the server has taken it."""
        self.send("<presence/>")
        self.round_trip()
        return self

    # Out

    def send(self, data: str) -> None:
        self.stream.send(data)

    def message(self, to: str, body: str, stanza_id: str = "") -> None:
        self.send(a_message(to, body, stanza_id))

    def ack(self, h: int | None = None) -> None:
        """`<a/>`, by default for everything received."""
        self.send(f"<a xmlns='{ns.SM}' h='{self.inbound if h is None else h}'/>")

    def handled(self) -> int:
        """Sends `<r/>` and answers the server's h; nothing but presence may come before it."""
        self.send(f"<r xmlns='{ns.SM}'/>")
        return int(self.skip_to(sm("a"), stanza("presence")).get("h", ""))

    def round_trip(self) -> None:
        """Returns when the server has handled everything sent so far: it answered a ping.

        Other stanzas may not come before.
        """
        self.send(f"<iq type='get' id='rt' to='{self.stream.address.domain}'><ping xmlns='{ns.PING}'/></iq>")
        self.skip_to(stanza("iq"), stanza("presence"))

    # In

    def next(self, timeout_s: float = 10.0) -> Element:
        """The next element but `<r/>`, which is only counted: a server may ask whenever it likes."""
        while True:
            element = self.stream.receive(timeout_s)
            if element.tag in (stanza("message"), stanza("presence"), stanza("iq")):
                self.inbound += 1
            if element.tag != sm("r"):
                return element
            self.requests += 1

    def skip_to(self, tag: str, *skipped: str) -> Element:
        """The next `tag`; before it only elements of `skipped` may come."""
        while True:
            element = self.next()
            if element.tag == tag:
                return element
            assert element.tag in skipped, f"expected {tag}, got {element.tag} {element.attrib}"

    def bodies(self, count: int) -> list[str]:
        """The bodies of the next `count` messages; presence in between is skipped."""
        found = [self.skip_to(stanza("message"), stanza("presence")) for _ in range(count)]
        return [message.findtext(stanza("body")) or "" for message in found]

    def stream_error(self) -> Element:
        """The stream error that ends this stream; whatever else comes before it is skipped."""
        while True:
            element = self.next()
            if element.tag == STREAM_ERROR:
                return element

    def is_over(self) -> bool:
        """Waits for the end of the stream and answers True. Raises ServerSilent if it goes on."""
        try:
            while True:
                self.next()
        except StreamEnded:
            return True

    def cut(self) -> None:
        self.stream.cut()


def a_message(to: str, body: str, stanza_id: str = "") -> str:
    """A chat message."""
    at = f" id='{stanza_id}'" if stanza_id else ""
    return f"<message to='{to}' type='chat'{at}><body>{body}</body></message>"


def online(server: HasAddress, account: Account, resource: str = "phone", *, enable: str = "resume='true'") -> Phone:
    """A phone that is bound, has stream management and sent its presence, which is acknowledged towards the server."""
    phone = Phone(server, account).bind(resource)
    phone.enable(enable)
    phone.available()
    phone.ack()
    return phone


def failed_condition(failed: Element) -> str:
    """The condition inside `<failed/>`."""
    assert failed.tag == sm("failed"), f"expected failed, got {failed.tag} {failed.attrib}"
    return condition_of(failed)
