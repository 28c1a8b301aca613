"""Reading one thing out of an element that the server itself must understand."""

from __future__ import annotations

from gateway.xmpp.element import Element


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
