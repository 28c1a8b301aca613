"""Targets without I/O: the stream parser, SASL, and what reads payloads and addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from gateway.features import mam_query
from gateway.xmpp import (
    bookmarks,
    caps,
    component,
    delay,
    forms,
    inner,
    notification_settings,
    ns,
    reading,
    tree,
    vcard,
)
from gateway.xmpp.element import Element
from gateway.xmpp.errors import ProtocolError, SaslFailure, StreamError
from gateway.xmpp.event import Event
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.parser import ParserLimits, StreamParser
from gateway.xmpp.sasl import mechanisms
from gateway.xmpp.sasl.credentials import decoy
from gateway.xmpp.sasl.exchange import Challenge, NeedCredentials, Success, VerifyPassword
from gateway.xmpp.stanza import NotAnElement, peek
from tests.fuzz.target import Target, plain
from tests.hostile.valid_requests import REPLIES, ROWS
from tests.unit.xmpp.builders import HEADER
from workers.appserver import published

LIMITS: Final = ParserLimits(stanza_bytes=2000, depth=12, attributes=12, header_bytes=600)

ROOM: Final = "room@rooms.example"

WORDS: Final = (
    "iq", "message", "presence", "body", "item", "items", "query", "field", "value", "x", "set", "get", "result",
    "error", "type", "id", "to", "from", "jid", "node", "var", "xmlns", "xml:lang", "action", "max", "before", "after",
    "index", "true", "false", "1", "0", "-1", "4294967295", "9" * 19, "<![CDATA[", "]]>", "&amp;", "&#x0;", "&#10;",
    "<!--", "<?", "<!DOCTYPE",
)  # fmt: skip


def parser(data: bytes) -> None:
    """A stream, at once and in pieces whose lengths are the input's own: the same events, and StreamError alone."""
    whole = _events([data])
    cuts, at = [], 0
    while at < len(data):
        step = 1 + data[at] % 23
        cuts.append(data[at : at + step])
        at += step
    pieces = _events(cuts)
    assert whole[0] == pieces[0], "other events in pieces"
    assert pieces[1] is None or whole[1] is not None, "refused in pieces only"
    for event in whole[0]:
        if isinstance(event, Element):
            assert LIMITS.stanza_bytes >= len(event.raw)
            _same_elsewhere(event)


def _events(pieces: list[bytes]) -> tuple[list[Event], StreamError | None]:
    found: list[Event] = []
    parser = StreamParser(LIMITS)
    try:
        for piece in pieces:
            found.extend(parser.feed(piece))
            parser.park()
    except StreamError as error:
        return found, error
    return found, None


def _same_elsewhere(element: Element) -> None:
    """Rewritten for another stream it is still the same element, and one only: nothing can be smuggled by it."""
    if element.ns != ns.CLIENT:
        return
    stanza = element.retagged({"from": "a@b/c", "to": "d@e"})
    again = peek(stanza)
    assert ("a@b/c", "d@e") == (again.attrs["from"], again.attrs["to"]), "another address"
    assert (element.name, element.children) == (again.name, again.children), "another element"


def sasl(data: bytes) -> None:
    """Mechanism, a newline, and what a client sends, a line each."""
    name, *lines = data.split(b"\n")
    bindings = {"tls-exporter": b"e" * 32, "tls-server-end-point": b"s" * 32}
    offered = mechanisms.offered(tls=True, tls_required=True, channel_bindings=bindings)
    with suppress(SaslFailure):
        exchange = mechanisms.begin(
            name.decode("utf-8", "replace"), offered=offered, nonce="n" * 24, channel_bindings=bindings
        )
        for at, line in enumerate(lines):
            text = line.decode("utf-8", "replace")
            step = exchange.step(mechanisms.decode_initial(text) if at == 0 else mechanisms.decode_response(text))
            if isinstance(step, NeedCredentials):
                step = exchange.supply(decoy(step.username, b"secret"))
            elif isinstance(step, VerifyPassword):
                step = exchange.verified(is_right=False)
            assert not isinstance(step, Success), "nobody has these credentials"
            assert isinstance(step, Challenge)


def addresses(data: bytes) -> None:
    """An address: refused, or one that reads the same again."""
    text = data.decode("utf-8", "replace")
    with suppress(JIDError):
        jid = JID.parse(text)
        assert JID.parse(str(jid)) == jid, "another address when it is read again"
        assert len(str(jid).encode()) <= 3071


def payloads(data: bytes) -> None:
    """One stanza, given to everybody who reads a payload."""
    parser = StreamParser.inside()
    try:
        found = [event for event in parser.feed(data) if isinstance(event, Element)]
    except StreamError:
        return
    for element in found[:4]:
        for read in _readers(element):
            with suppress(ProtocolError, JIDError, caps.IllFormed):
                read()


def _readers(element: Element) -> Iterator[Callable[[], object]]:
    raw = element.retagged({})
    yield element.payload
    yield lambda: tree.read(element, 5)
    if element.has(ns.MAM, "query"):
        yield lambda: mam_query.read(element, default_page=50, largest_page=100)
    if element.has(ns.PUBSUB, "pubsub"):
        yield lambda: published.read(element)
    if element.children:
        yield lambda: reading.child_attributes(element)
    yield lambda: component.from_component(element)
    yield lambda: component.for_component(raw)
    yield lambda: delay.has_delay_from(raw, "localhost")
    yield lambda: bookmarks.read_item(ROOM, raw)
    yield lambda: notification_settings.read(raw)
    for child in _inside(element):
        yield from _readers_of_a_payload(child)
        for each in _inside(child):
            yield from _readers_of_a_payload(each)


def _inside(element: Element) -> list[Element]:
    try:
        return inner.inner(element)
    except NotAnElement:
        return []


def _readers_of_a_payload(child: Element) -> Iterator[Callable[[], object]]:
    raw = child.raw
    yield lambda: forms.write(forms.read(raw))
    yield lambda: vcard.photo(raw)
    yield lambda: peek(vcard.with_photo(raw, vcard.Photo(b"x", "image/png")))
    yield lambda: vcard.data(raw)
    yield lambda: vcard.described(raw)
    yield lambda: vcard.advertised(raw)
    yield lambda: vcard.is_taken_back(raw)
    yield lambda: _checked(raw)
    yield lambda: bookmarks.read_storage(raw).to_xml()
    yield lambda: _kept(raw)
    yield lambda: notification_settings.read(raw)
    yield lambda: tree.parse(raw, 3)


def _checked(raw: bytes) -> None:
    described = caps.read(raw)
    described.check()
    caps.verification(described.identities, described.features, described.forms)


def _kept(raw: bytes) -> None:
    bookmark = bookmarks.read_item(ROOM, raw)
    if bookmark is not None:
        assert bookmarks.read_item(ROOM, bookmark.to_item()) is not None, "a bookmark that cannot be read again"


def requests() -> list[bytes]:
    """One good request for every handler, as it stands in a stream."""
    filled = [(row.type, row.payload.replace("%own", "a@localhost").replace("%user", "a")) for row in ROWS.values()]
    asked = [f"<iq type='{type_}' id='i'>{payload}</iq>" for type_, payload in filled]
    return [
        text.encode() for text in (*asked, *(f"<iq type='result' id='caps:1'>{each}</iq>" for each in REPLIES.values()))
    ]


def stanzas() -> list[bytes]:
    """What else a client sends."""
    return [
        b"<message to='b@localhost' type='chat' id='m'><body>hi</body>"
        b"<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>",
        b"<message to='b@localhost'><body>&lt;&#x41;<![CDATA[<x>]]></body>"
        b"<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z' from='localhost'/></message>",
        b"<presence><show>away</show><priority>5</priority>"
        b"<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='u' ver='x'/>"
        b"<x xmlns='vcard-temp:x:update'><photo>da39a3ee5e6b4b0d3255bfef95601890afd80709</photo></x></presence>",
        b"<presence to='b@localhost' type='subscribe'/>",
        b"<message xmlns='jabber:client' xmlns:p='urn:p' p:a='1' to='b@localhost'><p:x/><y xmlns='urn:y'/></message>",
        b"<enable xmlns='urn:xmpp:sm:3' resume='true' max='300'/><r xmlns='urn:xmpp:sm:3'/>",
        b"<a xmlns='urn:xmpp:sm:3' h='1'/>",
        b"<inactive xmlns='urn:xmpp:csi:0'/><active xmlns='urn:xmpp:csi:0'/>",
        b"<message type='chat' to='b@localhost'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
        b"<message xmlns='jabber:client' from='c@localhost' to='a@localhost'><body>no</body></message>"
        b"</forwarded></sent></message>",
    ]


def words() -> list[bytes]:
    """Names, namespaces and values that mean something to somebody."""
    namespaces = {value for name, value in vars(ns).items() if name.isupper() and isinstance(value, str)}
    return [word.encode() for word in (*sorted(namespaces), *WORDS)]


def _sasl_seeds() -> list[bytes]:
    return [
        b"PLAIN\nAGEAYg==",
        b"PLAIN\n=",
        b"PLAIN\n\nAGEAYg==",
        b"SCRAM-SHA-1\nbixhPXgsbj1hLHI9YWJj\nYz1iaXdzLHI9YWJjLHA9YWJj",
        b"SCRAM-SHA-256-PLUS\ncD10bHMtZXhwb3J0ZXIsLG49YSxyPWFiYw==\nYz1jRDEscj1hYmMscD1hYmM=",
        b"SCRAM-SHA-256\neSwsbj1hLHI9YWJj\n",
    ]


def _stream_seeds() -> list[bytes]:
    return [HEADER + b"".join(group) + b"</stream:stream>" for group in _pairs([*stanzas(), *requests()])]


def _pairs(found: list[bytes]) -> Iterator[list[bytes]]:
    for at in range(0, len(found), 2):
        yield found[at : at + 2]


def _address_seeds() -> list[bytes]:
    return [
        b"a@b/c",
        b"[::1]",
        "ü@bücher.example/☺".encode(),
        b"a@xn--bcher-kva.example",
        b"a\\40b@c",
        b"x@127.0.0.1/r/s@t",
    ]


TARGETS: Final = (
    Target("parser", plain(parser), _stream_seeds, words),
    Target(
        "sasl",
        plain(sasl),
        _sasl_seeds,
        lambda: [b"n,,n=", b",r=", b"p=tls-exporter", b"=2C", b"y,,", b"=", b"\n"],
        1024,
    ),
    Target("addresses", plain(addresses), _address_seeds, most_bytes=1200),
    Target("payloads", plain(payloads), lambda: [*requests(), *stanzas()], words),
)
