"""Reading one thing out of an element that the server itself must understand."""

from __future__ import annotations

from gateway.xmpp.element import Element
from gateway.xmpp.start_tag import attributes, end_of_tag


def child_text(element: Element, *path: tuple[str, str]) -> str:
    """The text of a descendant, by (namespace, name) from the element's children down; "" if it is not there, or not
    just once.
    """
    value: object = next(iter(element.payload().values()))
    for namespace, name in path:
        if not isinstance(value, dict):
            return ""
        value = value.get(f"{namespace}|{name}")
    if isinstance(value, dict):
        value = value.get("#text")
    return value if isinstance(value, str) else ""


def child_attributes(element: Element) -> dict[str, str]:
    """The attributes, by their written names, of an element's one child; what stands in that child is not read."""
    raw = element.raw
    at = raw.index(b"<", element.head)
    while raw.startswith(b"<![CDATA[", at):  # character data beside the child means nothing
        at = raw.index(b"<", raw.index(b"]]>", at))
    return attributes(raw[at : end_of_tag(raw, at)])
