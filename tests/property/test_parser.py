"""The parser, fed with anything: the same events for any split of the bytes, and StreamError for what is wrong."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.xmpp.escape import escape
from gateway.xmpp.event import Event
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.parser import ParserLimits, StreamParser
from gateway.xmpp.stanza import add_child, peek
from gateway.xmpp.start_tag import attributes
from tests.unit.xmpp.builders import HEADER, all_of, opened

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, range(32))) + "\ufffe\uffff")
    | st.sampled_from("\t\n &<>'\"/]"),
    max_size=12,
)
NAMES = st.sampled_from(["message", "iq", "presence", "body", "x", "ü", "a.b-c", "stream"])
PREFIXED = st.sampled_from(["p:a", "q:b", "xml:lang", "to", "from", "id", "type"])
NAMESPACES = st.sampled_from(["", "jabber:client", "urn:x", "urn:y&z", "http://etherx.jabber.org/streams"])


def _element(name: str, namespace: str | None, attrs: dict[str, str], quote: str, inner: list[str] | None) -> str:
    """A well-formed element with all that XML allows; without inner pieces an empty-element tag."""
    declared = "" if namespace is None else f" xmlns={quote}{escape(namespace)}{quote}"
    written = "".join(f" {key}={quote}{escape(value)}{quote}" for key, value in attrs.items())
    start = f"{name}{declared}{written} xmlns:p='urn:p' xmlns:q='urn:q'"
    return f"<{start}/>" if inner is None else f"<{start}>{''.join(inner)}</{name} >"


def _elements(inner: st.SearchStrategy[list[str] | None]) -> st.SearchStrategy[str]:
    attrs = st.dictionaries(PREFIXED, TEXTS, max_size=3)
    return st.builds(_element, NAMES, st.none() | NAMESPACES, attrs, st.sampled_from("'\""), inner)


CONTENT = TEXTS.map(escape) | st.sampled_from(["<![CDATA[ <a>&]] > ]]>", "&#x41;", " /> "])
LEAVES = _elements(st.none() | st.lists(CONTENT, max_size=2))
BRANCHES = _elements(st.lists(CONTENT | LEAVES, max_size=3))
ELEMENTS = LEAVES | BRANCHES | _elements(st.lists(CONTENT | BRANCHES, max_size=2))

STREAMS = st.lists(ELEMENTS, max_size=4).map(lambda found: HEADER + "\n".join(found).encode() + b"</stream:stream>")


@st.composite
def splits(draw: Any, data: bytes) -> list[bytes]:
    """The same bytes in pieces."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@settings(deadline=None)
@given(st.data())
def test_any_split_of_the_bytes_gives_the_same_events(data: st.DataObject) -> None:
    stream = data.draw(STREAMS)

    whole = all_of(StreamParser(), stream)

    assert whole == all_of(StreamParser(), *data.draw(splits(stream)))
    assert whole[1] is None


@settings(deadline=None)
@given(st.data())
def test_a_parser_that_is_parked_whenever_it_can_be_gives_the_same_events(data: st.DataObject) -> None:
    stream = data.draw(STREAMS)
    parser = StreamParser()
    events: list[Event] = []
    for piece in data.draw(splits(stream)):
        events.extend(parser.feed(piece))
        parser.park()

    assert all_of(StreamParser(), stream)[0] == events


@settings(deadline=None)
@given(st.data())
def test_damaged_bytes_give_the_same_events_and_a_stream_error(data: st.DataObject) -> None:
    stream = bytearray(data.draw(STREAMS))
    for at in data.draw(st.lists(st.integers(0, len(stream) - 1), max_size=4)):
        stream[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2) | st.sampled_from([b"<", b">", b"&", b"'", b"<!", b"<?", b"]]>", b"xmlns:", b"</"])
        )

    events, error = all_of(StreamParser(), bytes(stream))
    events_in_pieces, error_in_pieces = all_of(StreamParser(), *data.draw(splits(bytes(stream))))

    assert events == events_in_pieces
    if error_in_pieces is not None and error is None:
        raise AssertionError("refused only in pieces") from error_in_pieces
    assert error is None or error_in_pieces is not None


@settings(deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_accepted_or_are_a_stream_error(junk: bytes, after_header: bool) -> None:
    limits = ParserLimits(stanza_bytes=100, depth=3, attributes=3, header_bytes=200)

    all_of(opened(limits) if after_header else StreamParser(limits), junk, junk)


@settings(deadline=None)
@given(ELEMENTS, st.dictionaries(st.sampled_from(["to", "from", "id", "type", "xml:lang"]), st.none() | TEXTS))
def test_a_rewritten_start_tag_keeps_the_content(text: str, attrs: dict[str, str | None]) -> None:
    before = peek(text.encode())
    after = peek(before.retagged(attrs))

    expected = {**before.attrs, **attrs}
    assert {name: value for name, value in expected.items() if value is not None} == after.attrs
    assert (before.name, before.ns, before.children, before.inner) == (
        after.name,
        after.ns,
        after.children,
        after.inner,
    )


@settings(deadline=None)
@given(ELEMENTS)
def test_attributes_are_decoded_from_bytes_as_expat_decodes_them(text: str) -> None:
    found = peek(text.encode())
    decoded = attributes(found.raw[: found.head])

    assert found.attrs == {name: value for name, value in decoded.items() if not name.startswith(("xmlns", "p:", "q:"))}


@settings(deadline=None)
@given(ELEMENTS)
def test_a_child_is_added_to_any_element(text: str) -> None:
    before = peek(text.encode())
    after = peek(add_child(before.raw, b"<added xmlns='urn:added'/>"))

    assert (*before.children, ("urn:added", "added")) == after.children
    assert before.attrs == after.attrs


@settings(deadline=None)
@given(st.text(max_size=20))
def test_what_is_escaped_is_read_back(text: str) -> None:
    kept = text.translate(dict.fromkeys((*range(9), 11, 12, *range(14, 32), 65534, 65535), "�"))

    found = peek(f"<a b='{escape(text)}'>{escape(text)}</a>".encode())

    assert kept == found.attrs["b"]
    (content,) = found.payload().values()
    assert kept == content.get("#text", "") or not kept.strip(" \t\r\n")


@settings(deadline=None)
@given(
    st.text(max_size=30)
    | st.builds("{}@{}/{}".format, st.text(max_size=5), st.text("aB.-ü[]:1", max_size=5), st.text(max_size=5))
)
def test_a_prepared_address_prepares_to_itself(text: str) -> None:
    try:
        jid = JID.parse(text)
    except JIDError:
        return

    assert jid == JID.parse(str(jid))
    assert jid.bare == JID.parse(str(jid.bare))
