"""A stanza's children as the bytes they came as, to leave one out or put one in. What is kept is not changed."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.xmpp.element import Element
from gateway.xmpp.errors import StreamError
from gateway.xmpp.parser import StreamParser
from gateway.xmpp.payload import NotAnElement


def children(element: Element) -> list[Element]:
    """The direct children, in order. Raises NotAnElement if there is text beside them, or if they rely on a prefix that
    the element itself declares.
    """
    parser = StreamParser.inside()
    try:
        found = [event for event in parser.feed(element.inner) if isinstance(event, Element)]
    except StreamError as error:
        raise NotAnElement(str(error)) from error
    if tuple((child.ns, child.name) for child in found) != element.children or parser.take_unparsed():
        raise NotAnElement("not made of elements alone")
    return found


def with_children(element: Element, kept: Iterable[Element]) -> Element:
    """The element with these children instead of its own."""
    inner = list(kept)
    raw = element.raw[: element.head] + b"".join(child.raw for child in inner) + element.raw[element.raw.rindex(b"<") :]
    return Element(
        name=element.name,
        ns=element.ns,
        attrs=element.attrs,
        children=tuple((child.ns, child.name) for child in inner),
        raw=raw,
        head=element.head,
        declared=element.declared,
    )
