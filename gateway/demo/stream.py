"""RFC 6120 from the client's side, step by step: connect, TLS, SASL; then bytes out and elements in.

Nothing here runs by itself: who holds a ClientStream decides what is sent and when something is read. Client puts a
session on top of it; scenario tests use it bare, to send what a well-behaved client would not.
"""

import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

import gevent
from gevent import socket, ssl

from gateway.demo.sasl import Dialogue, start_sasl
from gateway.demo.xml_reader import StreamReader
from gateway.errors import WakegateError
from gateway.transports.channel_binding import server_end_point
from gateway.xmpp import ns

STREAM_ERROR = f"{{{ns.STREAM}}}error"
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens, and how TLS starts there. `cafile` empty: any certificate will do, for loopback only."""

    host: str
    port: int
    domain: str = "localhost"
    tls: Literal["starttls", "direct", "none"] = "starttls"
    cafile: str = ""


class StreamEnded(WakegateError):
    """The stream is over: `condition` is its error's (RFC 6120, section 4.9.3), empty if the link just ended."""

    metric = "client_stream_ended"

    def __init__(self, condition: str = "", element: Element | None = None) -> None:
        super().__init__(condition or "the link ended")
        self.condition = condition
        self.element = element


class Unexpected(WakegateError):
    """The server answered with something else than the protocol's next step."""

    metric = "client_unexpected"


class ServerSilent(WakegateError):
    """The server did not answer in time."""

    metric = "client_server_silent"


class ClientStream:
    """One link to a server. Every wait is bounded by `timeout_s`; a link that ended raises StreamEnded."""

    __slots__ = ("_reader", "_ready", "_sock", "address", "features", "lang", "timeout_s")

    def __init__(self, address: Address, *, timeout_s: float = 20.0, lang: str = "en") -> None:
        self.address = address
        self.lang = lang
        """what the stream header says of its stanzas, "" for nothing"""
        self.timeout_s = timeout_s
        self.features = Element("none")
        self._sock: Any = None
        self._reader = StreamReader()
        self._ready: deque[Element] = deque()

    # Negotiation

    def connect(self) -> Element:
        """Connects, starts TLS as the address says, and answers the features offered for authentication.

        Raises StreamEnded if nobody listens there, or the link is lost meanwhile.
        """
        try:
            self._sock = socket.create_connection((self.address.host, self.address.port), timeout=self.timeout_s)
        except OSError as error:
            raise StreamEnded from error
        self._sock.settimeout(None)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.address.tls == "direct":
            self._start_tls(alpn=True)
        features = self.restart()
        if self.address.tls == "starttls":
            self.request(f"<starttls xmlns='{ns.STARTTLS}'/>", f"{{{ns.STARTTLS}}}proceed")
            self._start_tls(alpn=False)
            features = self.restart()
        return features

    def restart(self) -> Element:
        """Opens a new stream on this link and answers its features (RFC 6120, section 4.3.3)."""
        self._reader = StreamReader()
        lang = f" xml:lang={quoteattr(self.lang)}" if self.lang else ""
        self.send(
            f"<?xml version='1.0'?><stream:stream to={quoteattr(self.address.domain)} version='1.0'{lang} "
            f"xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAM}'>"
        )
        self.features = self.expect(f"{{{ns.STREAM}}}features")
        return self.features

    def authenticate(self, username: str, password: str, *, mechanism: str = "") -> Element:
        """SASL with the best mechanism that both know, or the one named; answers the features of the new stream.

        Raises Unexpected with the server's condition if it refuses.
        """
        offered = [name.text or "" for name in self.features.iter(f"{{{ns.SASL}}}mechanism")]
        binding = None if mechanism and not mechanism.endswith("-PLUS") else self._binding()
        names = [mechanism] if mechanism else offered
        types = [one.get("type", "") for one in self.features.iter(f"{{{ns.SASL_CB}}}channel-binding")]
        dialogue: Dialogue = start_sasl(names, username, password, binding=binding, seen=(offered, types))
        answer = self.request(dialogue.auth())
        while answer.tag == f"{{{ns.SASL}}}challenge":
            answer = self.request(dialogue.respond(answer.text or ""))
        if answer.tag != f"{{{ns.SASL}}}success":
            raise Unexpected(f"{dialogue.mechanism} for {username}: {_describe(answer)}")
        dialogue.finish(answer.text or "")
        return self.restart()

    def _binding(self) -> tuple[str, bytes] | None:
        """RFC 5929's tls-server-end-point, if there is TLS and the server does not name only others (XEP-0440)."""
        types = [one.get("type") for one in self.features.iter(f"{{{ns.SASL_CB}}}channel-binding")]
        if self.address.tls == "none" or (types and "tls-server-end-point" not in types):
            return None
        data = _end_point(self._sock.getpeercert(True))
        return None if data is None else ("tls-server-end-point", data)

    def _start_tls(self, *, alpn: bool) -> None:
        context = _tls_context(self.address.cafile, alpn)
        try:
            with gevent.Timeout(self.timeout_s, ServerSilent("TLS handshake")):
                self._sock = context.wrap_socket(
                    self._sock, server_hostname=self.address.domain, do_handshake_on_connect=False
                )
                self._sock.do_handshake()
        except ssl.SSLCertVerificationError as error:
            raise Unexpected(f"the certificate of {self.address.domain}: {error.verify_message}") from error
        except OSError as error:
            raise StreamEnded from error

    # Bytes out

    def send(self, data: str | bytes) -> None:
        """Sends; waits at most `timeout_s` for a server that does not read."""
        try:
            with gevent.Timeout(self.timeout_s, ServerSilent("the server does not read")):
                self._sock.sendall(data.encode() if isinstance(data, str) else data)
        except OSError as error:
            raise StreamEnded from error

    # Elements in

    def receive(self, timeout_s: float | None = None) -> Element:
        """The next element, whatever it is, a stream error included.

        Raises StreamEnded when the link or the stream ended, ServerSilent after `timeout_s`.
        """
        with gevent.Timeout(timeout_s or self.timeout_s, ServerSilent("nothing came")):
            while not self._ready:
                self._ready.extend(self.read())
        return self._ready.popleft()

    def read(self) -> list[Element]:
        """Waits for bytes, without limit, and answers the elements they complete (perhaps none).

        Raises StreamEnded at the end of the link, and of the stream once everything before its end tag was answered.
        """
        if self._ready:
            ready = list(self._ready)
            self._ready.clear()
            return ready
        if self._reader.ended:
            raise StreamEnded
        try:
            data = self._sock.recv(_CHUNK)
        except OSError as error:
            raise StreamEnded from error
        if not data:
            raise StreamEnded
        return self._reader.feed(data)

    def expect(self, tag: str, timeout_s: float | None = None) -> Element:
        """The next element, which must be `tag` ("{namespace}name").

        Raises StreamEnded for a stream error, else Unexpected.
        """
        element = self.receive(timeout_s)
        if element.tag == tag:
            return element
        if element.tag == STREAM_ERROR:
            raise StreamEnded(condition_of(element), element)
        raise Unexpected(f"expected {tag}, got {_describe(element)}")

    def request(self, data: str | bytes, tag: str = "") -> Element:
        """Sends, and answers the next element, which must be `tag` if one is given."""
        self.send(data)
        return self.expect(tag) if tag else self.receive()

    # The end

    def cut(self, *, reset: bool = True) -> None:
        """Loses the link without a word of XMPP or TLS: by RST, or by FIN with `reset=False`."""
        if self._sock is None:
            return
        if reset:
            with suppress(OSError):  # closed already
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def end(self) -> None:
        """Ends the stream as RFC 6120, section 4.4 says: `</stream:stream>`, which ends the session, too."""
        self.send("</stream:stream>")


def condition_of(error: Element) -> str:
    """The defined condition of a stream error, a stanza error or a failure: its first child's local name."""
    return next((_local(child) for child in error if _local(child) != "text"), "undefined-condition")


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _describe(element: Element) -> str:
    return f"<{_local(element)}> with {[_local(child) for child in element]}"


@lru_cache(maxsize=16)
def _end_point(certificate: bytes) -> bytes | None:
    return server_end_point(certificate)


@lru_cache(maxsize=16)
def _tls_context(cafile: str, alpn: bool) -> Any:
    """One context for all of a process' clients: it costs more than their sessions."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cafile:
        context.load_verify_locations(cafile)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(["xmpp-client"])
    return context
