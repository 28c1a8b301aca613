"""RFC 6120 §4: what happens on a stream, as its parsers tell it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.xmpp.element import Element


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """RFC 6120 §4.2: the peer's stream header."""

    attrs: dict[str, str]
    """attributes without a prefix, and "xml:lang" """
    ns: str
    """the default namespace, "" if none was declared"""
    lang: str
    """xml:lang, "" if none was given"""


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """RFC 6120 §4.4: the peer's closing stream tag. What follows it is ignored."""


Event = StreamOpened | Element | StreamClosed
