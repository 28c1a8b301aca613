"""Elements in their order, down to a certain depth, each with bytes that can stand by themselves: for payloads whose
parts are kept and passed on (XEP-0060). Where the values alone matter, `payload` is shorter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from gateway.xmpp import ns
from gateway.xmpp.element import Element
from gateway.xmpp.payload import NotAnElement
from gateway.xmpp.start_tag import end_of_tag, qualified_name, write_attributes

_XML: Final = {"xml": ns.XML}
_SLASH: Final = ord("/")


@dataclass(slots=True)
class Tree:
    """An element: `attrs` are those without a prefix. Below the depth that was asked for there are no `children`."""

    name: str
    ns: str
    attrs: dict[str, str]
    children: list[Tree] = field(default_factory=list)
    xml: bytes = b""
    """the element with every declaration of a namespace that it needs"""

    def named(self, namespace: str, name: str) -> list[Tree]:
        """The children of this name."""
        return [child for child in self.children if (child.ns, child.name) == (namespace, name)]


@dataclass(slots=True)
class _Open:
    tree: Tree
    start: int
    scope: Mapping[str, str]
    own: frozenset[str]


def read(element: Element, depth: int) -> Tree:
    """A stanza, with `depth` levels below it."""
    return parse(element.retagged({}), depth, default=ns.CLIENT)


def parse(source: bytes, depth: int, *, default: str = "") -> Tree:
    """One element; `default` is the namespace it stands in. Raises NotAnElement."""
    return _Reader(source, depth, default).read()


class _Reader:
    def __init__(self, source: bytes, depth: int, default: str) -> None:
        self._source = source
        self._depth = depth
        self._scope: Mapping[str, str] = {"": default, **_XML}
        self._open: list[_Open] = []
        self._level = 0
        self._roots: list[Tree] = []
        self._expat = expat.ParserCreate("UTF-8")
        self._expat.StartElementHandler = self._on_start
        self._expat.EndElementHandler = self._on_end

    def read(self) -> Tree:
        try:
            self._expat.Parse(self._source, True)
        except (expat.ExpatError, KeyError, ValueError) as error:
            raise NotAnElement(str(error)) from error
        return self._roots[0]

    def _on_start(self, name: str, attrs: dict[str, str]) -> None:
        self._level += 1
        if self._level > self._depth + 1:
            return
        scope = self._open[-1].scope if self._open else self._scope
        own = frozenset(attr.partition(":")[2] for attr in attrs if attr == "xmlns" or attr.startswith("xmlns:"))
        if own:
            scope = {**scope, **{prefix: attrs["xmlns:" + prefix if prefix else "xmlns"] for prefix in own}}
        prefix, _, local = name.rpartition(":")
        plain = {attr: value for attr, value in attrs.items() if ":" not in attr and attr != "xmlns"}
        tree = Tree(local, scope[prefix], plain)
        if self._open:
            self._open[-1].tree.children.append(tree)
        else:
            self._roots.append(tree)
        self._open.append(_Open(tree, self._expat.CurrentByteIndex, scope, own))

    def _on_end(self, _name: str) -> None:
        self._level -= 1
        if self._level > self._depth:
            return
        done = self._open.pop()
        source, start = self._source, done.start
        head = end_of_tag(source, start)
        # Expat's index stands behind an empty-element tag, but before an end tag.
        end = head if source[head - 2] == _SLASH else source.index(b">", self._expat.CurrentByteIndex) + 1
        done.tree.xml = _alone(source[start:end], done.scope, done.own)


def _alone(raw: bytes, scope: Mapping[str, str], own: frozenset[str]) -> bytes:
    """The element with the declarations that it has from its ancestors."""
    missing = {} if "" in own else {"xmlns": scope[""]}
    for prefix, namespace in scope.items():
        if prefix and prefix != "xml" and prefix not in own and prefix.encode() + b":" in raw:
            missing["xmlns:" + prefix] = namespace
    if not missing:
        return raw
    at = 1 + len(qualified_name(raw))
    return b"%b%b%b" % (raw[:at], write_attributes(missing), raw[at:])
