"""What stands inside an element, as elements in their own right: each with the bytes it came as, and able to stand
somewhere else, wherever the prefixes and the default namespace that it relies on were declared.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.xmpp import ns
from gateway.xmpp.element import Element
from gateway.xmpp.errors import StreamError
from gateway.xmpp.limits import ParserLimits
from gateway.xmpp.parser import StreamParser
from gateway.xmpp.payload import NotAnElement
from gateway.xmpp.start_tag import attributes, qualified_name, write_attributes

_ENOUGH: Final = 1 << 30
_UNLIMITED: Final = ParserLimits(stanza_bytes=_ENOUGH, depth=_ENOUGH, attributes=_ENOUGH)
"""The stream's parser has looked at the limits already."""


def default_inside(element: Element, default: str = ns.CLIENT) -> str:
    """The default namespace among the children; `default` is the one where the element stands."""
    tag = element.raw[: element.head]
    if b":" not in qualified_name(tag):
        return element.ns
    return attributes(tag).get("xmlns", default)


def inner(element: Element, default: str = ns.CLIENT) -> list[Element]:
    """The children, in order. `default` is the default namespace where the element stands. Raises NotAnElement if there
    is anything else than elements and white space.
    """
    declared = dict(element.declared)
    for name, uri in attributes(element.raw[: element.head]).items():
        if name.startswith("xmlns:"):
            declared[name.removeprefix("xmlns:")] = uri
    parser = StreamParser.inside(_UNLIMITED, default=default_inside(element, default), declared=tuple(declared.items()))
    try:
        found = [event for event in parser.feed(element.inner) if isinstance(event, Element)]
    except StreamError as error:
        raise NotAnElement(str(error)) from error
    if parser.take_unparsed().strip():
        raise NotAnElement("not made of whole elements")
    return found


def payload(iq: Element) -> Element:
    """The one child of an iq request. Raises NotAnElement."""
    return inner(iq)[0]


def moved(element: Element, *, default: str, into: str) -> bytes:
    """The element, to stand where `into` is the default namespace instead of `default`. Nothing is changed but its
    start tag, which declares what was declared around it.
    """
    raw = element.retagged({})
    tag = raw[: element.head]
    name = qualified_name(tag)
    if (b":" in name and default != into and "xmlns" not in attributes(tag)) or element.ns == ns.CLIENT != into:
        # What is unprefixed in it, or it itself, relies on the default namespace.
        at = 1 + len(name)
        return raw[:at] + write_attributes({"xmlns": default if b":" in name else element.ns}) + raw[at:]
    return raw


def with_children(element: Element, kept: Iterable[Element]) -> Element:
    """The element with these of its children alone; what is kept is not changed."""
    children = list(kept)
    end = element.raw[element.raw.rindex(b"<") :]
    raw = element.raw[: element.head] + b"".join(child.raw for child in children) + end
    return Element(
        name=element.name,
        ns=element.ns,
        attrs=element.attrs,
        children=tuple((child.ns, child.name) for child in children),
        raw=raw,
        head=element.head,
        declared=element.declared,
    )
