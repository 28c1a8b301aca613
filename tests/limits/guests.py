"""Clients from addresses of their own: every 127.x.y.z is one."""

from __future__ import annotations

from contextlib import suppress
from xml.etree.ElementTree import Element

from gevent import socket

from gateway.demo.stream import ClientStream, StreamEnded, Unexpected
from gateway.xmpp import ns
from tests.support.phone import HasAddress, stanza
from tests.support.processes import PASSWORD, Account

LIMITS = f"{{{ns.STREAM_LIMITS}}}"

_open: list[Guest] = []


def close_guests() -> None:
    """Cuts what a test left open."""
    while _open:
        _open.pop().cut()


class Guest(ClientStream):
    """One link, from `host`."""

    __slots__ = ("host",)

    def __init__(self, server: HasAddress, host: str) -> None:
        super().__init__(server.address())
        self.host = host
        _open.append(self)

    def reach(self) -> Guest:
        """Connects, and says nothing."""
        place = (self.address.host, self.address.port)
        self._sock = socket.create_connection(place, timeout=self.timeout_s, source_address=(self.host, 0))
        self._sock.settimeout(None)
        return self

    def connect(self) -> Element:
        """As ClientStream's, from `host`."""
        self.reach()
        self.restart()
        self.request(f"<starttls xmlns='{ns.STARTTLS}'/>", f"{{{ns.STARTTLS}}}proceed")
        self._start_tls(alpn=False)
        return self.restart()

    def limits(self) -> tuple[str | None, str | None]:
        """XEP-0478: max-bytes and idle-seconds of the features that came last."""
        found = self.features.find(f"{LIMITS}limits")
        return (None, None) if found is None else tuple(found.findtext(f"{LIMITS}{name}") for name in NAMES)  # type: ignore[return-value]

    def log_in(self, account: Account, password: str = PASSWORD) -> str:
        """Why it was refused, "" if it was not."""
        try:
            self.authenticate(account.name, password)
        except Unexpected as error:
            return str(error)
        return ""

    def bind(self, resource: str) -> Element:
        """The answer."""
        request = f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'><resource>{resource}</resource></bind></iq>"
        return self.request(request, stanza("iq"))

    def how_it_ends(self) -> str:
        """The condition of the stream error that comes, "" if the link just ends."""
        with suppress(StreamEnded):
            while True:
                element = self.receive()
                if element.tag == f"{{{ns.STREAM}}}error":
                    return next(child.tag.rpartition("}")[2] for child in element)
        return ""


NAMES = ("max-bytes", "idle-seconds")
