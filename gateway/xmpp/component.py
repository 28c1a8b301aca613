"""XEP-0114: what is different on a component's stream: its header, its handshake, and its content namespace.

Stanzas are kept without a declaration of their namespace, so that they are in the default namespace of whatever stream
they are written to. Only what declares one of the two namespaces itself has to be translated.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import replace
from typing import Final

from gateway.xmpp import ns
from gateway.xmpp.element import Element
from gateway.xmpp.escape import escape
from gateway.xmpp.start_tag import end_of_tag

HANDSHAKE: Final = b"<handshake/>"

_STANZA_CHILD: Final = 2

_TAG: Final = re.compile(
    rb"""<!\[CDATA\[.*?\]\]>|<[^'">]*+(?:"[^"]*+"[^'">]*+|'[^']*+'[^'">]*+)*+>""",
    re.DOTALL,
)
_ATTRIBUTE: Final = re.compile(rb"""(\s+)([^\s=]+)(\s*=\s*)("[^"]*"|'[^']*')""")


def header(*, domain: str, stream_id: str) -> bytes:
    """The server's stream header (XEP-0114 section 3, example 2)."""
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{ns.COMPONENT}' xmlns:stream='{ns.STREAM}'"
        f" from='{escape(domain)}' id='{escape(stream_id)}'>"
    ).encode()


def digest(stream_id: str, secret: str) -> str:
    """What proves that the component knows the secret: SHA-1 over both, in lower-case hexadecimal digits."""
    return hashlib.sha1(stream_id.encode() + secret.encode()).hexdigest()  # noqa: S324 - the protocol's algorithm


def proves(handshake: Element, *, stream_id: str, secret: str) -> bool:
    """Whether a <handshake/> holds the right digest. Takes the same time wherever the two differ."""
    return hmac.compare_digest(handshake.inner.strip(), digest(stream_id, secret).encode())


def from_component(element: Element) -> Element:
    """A stanza of a component's stream as one of a client's: the same, in jabber:client."""
    raw = element.raw
    if ns.COMPONENT.encode() in raw:
        raw = _redeclared(raw, ns.COMPONENT, ns.CLIENT)
    return replace(
        element,
        ns=_client(element.ns),
        children=tuple((_client(namespace), name) for namespace, name in element.children),
        raw=raw,
        head=end_of_tag(raw),
        declared=tuple((prefix, _client(namespace)) for prefix, namespace in element.declared),
    )


def for_component(stanzas: bytes) -> bytes:
    """Stanzas that lie in a queue, as a component's stream needs them: children which name jabber:client, as some
    clients' do, are in the stream's own namespace. What is deeper inside, such as a forwarded message (XEP-0297), stays
    in jabber:client.
    """
    if ns.CLIENT.encode() not in stanzas:
        return stanzas
    return _redeclared(stanzas, ns.CLIENT, ns.COMPONENT, depth=_STANZA_CHILD)


def _client(namespace: str) -> str:
    return ns.CLIENT if namespace == ns.COMPONENT else namespace


def _redeclared(xml: bytes, former: str, latter: str, *, depth: int = 0) -> bytes:
    """Declarations of the namespace `former` name `latter`: in all tags, or in those of elements at `depth` alone."""
    level = 0

    def attribute(match: re.Match[bytes]) -> bytes:
        space, name, equals, value = match.groups()
        is_declaration = name == b"xmlns" or name.startswith(b"xmlns:")
        if not is_declaration or value[1:-1] != former.encode():
            return match[0]
        return b"%b%b%b'%b'" % (space, name, equals, latter.encode())

    def tag(match: re.Match[bytes]) -> bytes:
        nonlocal level
        text = match[0]
        if text.startswith(b"<!"):
            return text
        if text.startswith(b"</"):
            level -= 1
            return text
        level += 1
        is_meant = depth in (0, level)
        if text.endswith(b"/>"):
            level -= 1
        return _ATTRIBUTE.sub(attribute, text) if is_meant else text

    return _TAG.sub(tag, xml)
