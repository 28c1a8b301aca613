"""XEP-0114 from the component's side, without I/O: bytes in; bytes out, the acceptance, and stanzas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.errors import WakegateError
from gateway.xmpp import ns
from gateway.xmpp.component import HANDSHAKE, digest, from_component
from gateway.xmpp.element import STANZAS, Element
from gateway.xmpp.errors import StreamError
from gateway.xmpp.escape import escape
from gateway.xmpp.event import StreamClosed, StreamOpened
from gateway.xmpp.limits import ParserLimits
from gateway.xmpp.parser import StreamParser

LIMITS: Final = ParserLimits(stanza_bytes=4 * 1024 * 1024, depth=10_000, attributes=10_000)
"""Far beyond what servers let their users send: or else one of those could end the connection of all."""

CLOSING: Final = b"</stream:stream>"


class StreamEnded(WakegateError):
    """The server ended the stream; the text says why. `is_refusal`: it would end the next one for the same reason."""

    metric = "app_server_stream_ended"

    def __init__(self, why: str, *, is_refusal: bool = False) -> None:
        super().__init__(why)
        self.is_refusal = is_refusal


@dataclass(frozen=True)
class Send:
    """These bytes are for the server."""

    data: bytes


class Accepted:
    """The handshake was accepted: from now on there are stanzas."""


class _State(Enum):
    OPENING = 1
    SHAKING = 2
    ACCEPTED = 3


class ComponentStream:
    """One stream: send `header`, feed what comes. Raises StreamEnded, and StreamError for what is no XMPP."""

    def __init__(self, domain: str, secret: str) -> None:
        self._domain = domain
        self._secret = secret
        self._parser = StreamParser(LIMITS, content=frozenset({ns.COMPONENT, ns.CLIENT}))
        self._state = _State.OPENING

    @property
    def header(self) -> bytes:
        """Section 3, example 1."""
        return (
            f"<?xml version='1.0'?><stream:stream xmlns='{ns.COMPONENT}' xmlns:stream='{ns.STREAM}'"
            f" to='{escape(self._domain)}'>"
        ).encode()

    def feed(self, data: bytes) -> Iterator[Send | Accepted | Element]:
        """What follows from bytes of the server's; stanzas are in jabber:client."""
        for event in self._parser.feed(data):
            if isinstance(event, StreamOpened):
                yield Send(self._shake(event))
            elif isinstance(event, StreamClosed):
                raise StreamEnded("the server closed the stream")
            elif (event.ns, event.name) == (ns.STREAM, "error"):
                raise _refused(event)
            elif self._state is _State.SHAKING and (event.ns, event.name) == (ns.COMPONENT, "handshake"):
                self._state = _State.ACCEPTED
                yield Accepted()
            elif self._state is _State.ACCEPTED and event.name in STANZAS:
                yield from_component(event)

    def _shake(self, header: StreamOpened) -> bytes:
        if self._state is not _State.OPENING or not header.attrs.get("id"):
            raise StreamEnded("the server's stream header has no id", is_refusal=True)
        self._state = _State.SHAKING
        proof = digest(header.attrs["id"], self._secret)
        return HANDSHAKE.replace(b"/>", b">") + proof.encode() + b"</handshake>"


REFUSALS: Final = frozenset({"not-authorized", "host-unknown", "conflict", "invalid-namespace", "policy-violation"})
"""conditions that come again at once if we do"""


def _refused(error: Element) -> StreamEnded:
    conditions = [name for namespace, name in error.children if namespace == ns.STREAM_ERRORS and name != "text"]
    condition = conditions[0] if conditions else "undefined-condition"
    return StreamEnded(condition, is_refusal=condition in REFUSALS)


__all__ = ["Accepted", "ComponentStream", "Send", "StreamEnded", "StreamError"]
