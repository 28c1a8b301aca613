"""A first-level child of a stream: what was read of it, and the bytes it came as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.xmpp import ns
from gateway.xmpp.escape import escape
from gateway.xmpp.start_tag import qualified_name, write_attributes, written_attributes

STANZAS: Final = frozenset({"message", "presence", "iq"})


@dataclass(frozen=True, slots=True)
class Element:
    """RFC 6120 §4.1: a stanza, or another first-level element. Values of attributes are decoded, `raw` is untouched."""

    name: str
    """local name"""
    ns: str
    """"" if it has none"""
    attrs: dict[str, str]
    """attributes without a prefix, and "xml:lang"; not to be changed"""
    children: tuple[tuple[str, str], ...]
    """(namespace, local name) of the direct children, in order"""
    raw: bytes
    """the element from its `<` to its last `>`"""
    head: int
    """length of the start tag in `raw`; for an empty-element tag, all of it"""
    declared: tuple[tuple[str, str], ...] = ()
    """(prefix, namespace) that the stream header declared, on which `raw` may rely"""

    @property
    def is_stanza(self) -> bool:
        """Whether XEP-0198 counts it: RFC 6120 §8 knows three stanzas, in the content namespace."""
        return self.name in STANZAS and self.ns == ns.CLIENT

    def has(self, namespace: str, name: str = "") -> bool:
        """Whether there is a direct child of this namespace, and of this name if one is given."""
        if name:
            return (namespace, name) in self.children
        return any(child[0] == namespace for child in self.children)

    @property
    def inner(self) -> bytes:
        """What stands between the start tag and the end tag."""
        return self.raw[self.head : self.raw.rindex(b"<")] if self.head < len(self.raw) else b""

    def retagged(self, attrs: Mapping[str, str | None]) -> bytes:
        """The element with its start tag rewritten and not one byte changed behind it.

        `attrs` replace the element's own or are added ("xml:lang" is a name like any other); None removes. The result
        can stand in every stream whose default namespace is jabber:client: it declares that one never, and every prefix
        that this element's stream declared and its content uses.
        """
        raw = self.raw
        tag = raw[: self.head]
        missing = {name: value for name, value in attrs.items() if self.attrs.get(name) != value}
        if self._has_plain_tag(tag) and not any(name in self.attrs for name in missing):
            # What nearly every client sends: nothing to change, only something to add, in a third of the time.
            at = 1 + len(self.name)
            return b"%b%b%b" % (raw[:at], write_attributes(missing), raw[at:])
        name = qualified_name(tag)
        parts = [b"<", name]
        own = set()
        for written_name, written in written_attributes(tag):
            own.add(written_name)
            if written_name == b"xmlns":
                if self.ns != ns.CLIENT:
                    parts.append(written)
            elif written_name.decode() not in attrs:
                parts.append(written)
        parts.append(write_attributes(attrs))
        if self.ns != ns.CLIENT and b"xmlns" not in own and b":" not in name:
            parts.append(b" xmlns='%b'" % escape(self.ns).encode())
        for prefix, namespace in self.declared:
            if prefix.encode() + b":" in raw and b"xmlns:" + prefix.encode() not in own:
                parts.append(f" xmlns:{prefix}='{escape(namespace)}'".encode())
        parts.append(b"/>" if tag.endswith(b"/>") else b">")
        parts.append(raw[self.head :])
        return b"".join(parts)

    def in_language(self, lang: str) -> Element:
        """The element with its stream's xml:lang, if it has none of its own (RFC 6120 §8.1.5)."""
        if "xml:lang" in self.attrs:
            return self
        raw = self.retagged({"xml:lang": lang})
        grown = len(raw) - len(self.raw)
        return replace(self, attrs={**self.attrs, "xml:lang": lang}, raw=raw, head=self.head + grown)

    def _has_plain_tag(self, tag: bytes) -> bool:
        """The tag may stand in another stream as it is: no declaration in it, none that is needed behind it."""
        if self.ns != ns.CLIENT or b"xmlns" in tag:
            return False
        return not any(prefix.encode() + b":" in self.raw for prefix, _ in self.declared)

    def payload(self) -> dict[str, Any]:
        """The whole element as a dictionary, for IQs and forms that the server itself must understand.

        As gateway.xmpp.payload.read says: `{"jabber:client|iq": {"@type": "get", "urn:xmpp:ping|ping": None}}`.
        """
        from gateway.xmpp.payload import read  # loads xmltodict, which takes 30 ms and which not every process needs

        return read(self.retagged({}), default=ns.CLIENT)
