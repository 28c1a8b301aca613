"""RFC 6120 §13.12: what one peer may send, and the stream errors for more."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.xmpp.errors import StreamCondition, StreamError


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """The defaults suit an authenticated client; before that, less is right."""

    stanza_bytes: int = 262144
    """length of one first-level element"""
    depth: int = 64
    """elements inside one another, the first-level one included"""
    attributes: int = 64
    """of one element, declarations of namespaces not counted"""
    header_bytes: int = 8192
    """length of all that comes before the first element, the stream header included"""

    def stanza_too_long(self) -> StreamError:
        return _violation(f"a stanza longer than {self.stanza_bytes} bytes")

    def header_too_long(self) -> StreamError:
        return _violation(f"a stream header longer than {self.header_bytes} bytes")

    def too_much_inside(self) -> StreamError:
        return _violation(f"more than {self.depth} elements inside one another, or {self.attributes} attributes")


def _violation(text: str) -> StreamError:
    return StreamError(StreamCondition.POLICY_VIOLATION, text)
