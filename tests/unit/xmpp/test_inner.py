"""What stands inside an element, in its own right: bytes as they came, namespaces as they were meant."""

import pytest

from gateway.xmpp import ns
from gateway.xmpp.inner import default_inside, inner, moved, payload, with_children
from gateway.xmpp.payload import NotAnElement, read
from gateway.xmpp.stanza import peek


def test_an_element_that_stands_by_itself_moves_byte_for_byte() -> None:
    written = b"<a xmlns='urn:a' b=\"1\"\n c='&#39;'><x:y xmlns:x='urn:x'/>&amp;\xc3\xa4</a>"
    query = payload(peek(b"<iq id='1'><query xmlns='jabber:iq:private'> %b\n</query></iq>" % written))

    (element,) = inner(query)

    assert ("urn:a", "a") == (element.ns, element.name)
    assert written == moved(element, default=ns.PRIVATE, into=ns.PRIVATE)


def test_prefixes_of_whatever_stands_around_go_with_it() -> None:
    iq = peek(
        b"<iq id='1' xmlns:o='urn:o'><q:query xmlns:q='urn:q' xmlns:p='urn:p'><p:a o:b='1'><c/></p:a></q:query></iq>"
    )
    query = payload(iq)
    (element,) = inner(query)

    there = moved(element, default=default_inside(query), into="urn:q")

    assert read(there) == {"urn:p|a": {"@urn:o|b": "1", "jabber:client|c": None}}


def test_the_default_namespace_is_that_of_the_place() -> None:
    query = payload(
        peek(b"<iq id='1'><query xmlns='urn:q'><a/><b xmlns=''/><p:c xmlns:p='urn:p'><d/></p:c></query></iq>")
    )

    a, b, c = inner(query)

    assert "urn:q" == default_inside(query)
    assert [("urn:q", "a"), ("", "b"), ("urn:p", "c")] == [(one.ns, one.name) for one in (a, b, c)]
    assert {"urn:q|a": None} == read(moved(a, default="urn:q", into="urn:other"))
    assert {"urn:p|c": {"urn:q|d": None}} == read(moved(c, default="urn:q", into="urn:other"))
    assert b"<p:c xmlns:p='urn:p'><d/></p:c>" == moved(c, default="urn:q", into="urn:q")


@pytest.mark.parametrize("content", ["text", "<a/>text", "text<a/>", "&lt;", "<![CDATA[ ]]>"])
def test_text_beside_elements_is_refused(content: str) -> None:
    query = payload(peek(f"<iq id='1'><query xmlns='urn:q'>{content}</query></iq>".encode()))

    with pytest.raises(NotAnElement):
        inner(query)


def test_an_element_without_content_has_no_children() -> None:
    assert [] == inner(payload(peek(b"<iq id='1'><query xmlns='urn:q'/></iq>")))


def test_a_child_is_left_out_and_the_rest_kept() -> None:
    whole = peek(
        b"<message xmlns:p='urn:p' to='a@b'> <body>1 &lt; 2</body>\n<p:x y=\"z\"/><b xml:lang='de'>2</b></message>"
    )
    rest = with_children(whole, [child for child in inner(whole) if child.name != "x"])

    assert b"<message xmlns:p='urn:p' to='a@b'><body>1 &lt; 2</body><b xml:lang='de'>2</b></message>" == rest.raw
    assert (whole.attrs, whole.head) == (rest.attrs, rest.head)
    assert peek(rest.raw).children == rest.children
