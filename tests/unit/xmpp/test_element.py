"""Elements: what they tell, and their start tags rewritten."""

from __future__ import annotations

import pytest

from gateway.xmpp.element import Element
from gateway.xmpp.stanza import peek
from tests.unit.xmpp.builders import HEADER, a_message, element, opened


def first(stream: bytes, header: bytes = HEADER) -> Element:
    (found,) = opened(header=header).feed(stream)
    assert isinstance(found, Element)
    return found


@pytest.mark.parametrize(
    ("stanza", "is_stanza"),
    [
        (a_message(), True),
        (b"<iq/>", True),
        (b"<presence/>", True),
        (b"<iq xmlns='urn:x'/>", False),
        (b"<r xmlns='urn:xmpp:sm:3'/>", False),
        (b"<other/>", False),
    ],
)
def test_three_elements_are_stanzas(stanza: bytes, is_stanza: bool) -> None:
    assert is_stanza == element(stanza).is_stanza


def test_a_child_is_found_by_its_namespace_and_its_name() -> None:
    found = element(b"<message><body/><x xmlns='urn:y'/></message>")

    assert found.has("jabber:client", "body") and found.has("urn:y") and found.has("urn:y", "x")
    assert not found.has("urn:y", "body") and not found.has("urn:z")


@pytest.mark.parametrize(
    ("stanza", "inner"),
    [
        (b"<iq/>", b""),
        (b"<iq></iq>", b""),
        (b"<iq a='>'>t<b/>&amp;</iq >", b"t<b/>&amp;"),
        (b"<iq a='/'>/></iq>", b"/>"),
    ],
)
def test_the_inner_bytes_stand_between_the_tags(stanza: bytes, inner: bytes) -> None:
    assert inner == element(stanza).inner


def test_attributes_are_replaced_added_and_removed_and_the_rest_is_kept() -> None:
    found = element(
        b"<message to='a'  id=\"1'\" type='chat' xml:lang='de'><body>x &amp; <![CDATA[<y>]]></body></message>"
    )

    retagged = found.retagged({"from": "r&j", "to": "b", "type": None})

    assert (
        b"<message  id=\"1'\" xml:lang='de' from='r&amp;j' to='b'><body>x &amp; <![CDATA[<y>]]></body></message>"
    ) == retagged


def test_the_language_is_an_attribute_like_any_other() -> None:
    assert b"<iq xml:lang='en'/>" == element(b"<iq xml:lang='de'/>").retagged({"xml:lang": "en"})
    assert b"<iq/>" == element(b"<iq xml:lang='de'/>").retagged({"xml:lang": None})


def test_the_content_namespace_is_declared_no_more() -> None:
    assert b"<iq a='1'><b/></iq>" == element(b"<iq xmlns='jabber:client' a='1'><b/></iq>").retagged({})


def test_another_namespace_stays_declared() -> None:
    assert b"<r xmlns='urn:xmpp:sm:3'/>" == element(b"<r xmlns='urn:xmpp:sm:3'/>").retagged({})


def test_an_inherited_namespace_is_declared_anew() -> None:
    header = b"<stream xmlns='http://etherx.jabber.org/streams'>"

    assert b"<features xmlns='http://etherx.jabber.org/streams'/>" == first(b"<features/>", header).retagged({})
    assert b"<iq><x/></iq>" == first(b"<iq xmlns='jabber:client'><x/></iq>", header).retagged({})


def test_prefixes_of_the_stream_header_go_with_the_content_that_uses_them() -> None:
    header = HEADER.replace(b" to=", b" xmlns:p='urn:p&amp;' xmlns:q='urn:q' to=")

    retagged = first(b"<iq p:a='1'><p:b/></iq>", header).retagged({"id": "1"})

    assert b"<iq p:a='1' id='1' xmlns:p='urn:p&amp;'><p:b/></iq>" == retagged
    assert (("urn:p&", "b"),) == peek(retagged).children


def test_a_prefix_of_its_own_wins() -> None:
    header = HEADER.replace(b" to=", b" xmlns:p='urn:p' to=")

    assert b"<iq xmlns:p='urn:o'><p:b/></iq>" == first(b"<iq xmlns:p='urn:o'><p:b/></iq>", header).retagged({})


def test_prefixed_features_stay_prefixed() -> None:
    retagged = first(b"<stream:features><a xmlns='b'/></stream:features>").retagged({})

    declaration = b" xmlns:stream='http://etherx.jabber.org/streams'"
    assert b"<stream:features%b><a xmlns='b'/></stream:features>" % declaration == retagged


def test_prefixed_attributes_are_not_among_the_plain_ones() -> None:
    found = element(b"<iq xmlns:p='urn:p' p:to='x' to='y' xml:lang='de'/>")

    assert {"to": "y", "xml:lang": "de"} == found.attrs


def test_the_payload_is_a_dictionary_by_namespaces_and_names() -> None:
    found = first(b"<iq type='get'><query xmlns='urn:q' node='n'/></iq>")

    assert {"jabber:client|iq": {"@type": "get", "urn:q|query": {"@node": "n"}}} == found.payload()


def test_the_payload_of_another_namespace_knows_it() -> None:
    assert {"urn:xmpp:sm:3|a": {"@h": "1"}} == first(b"<a xmlns='urn:xmpp:sm:3' h='1'/>").payload()


def test_an_element_gets_the_language_of_its_stream_if_it_says_none() -> None:
    spoken = element(b"<message to='a'><body>b</body></message>").in_language("de")

    assert b"<message xml:lang='de' to='a'>" == spoken.raw[: spoken.head]
    assert (b"<body>b</body>", "de") == (spoken.inner, spoken.attrs["xml:lang"])
    assert b"<message from='c' xml:lang='de' to='a'><body>b</body></message>" == spoken.retagged({"from": "c"})
    itself = element(b"<iq xml:lang='it'/>")
    assert itself is itself.in_language("de")
