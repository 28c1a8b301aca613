"""XEP-0114 on a component's stream: the handshake's digest, and stanzas in the other content namespace."""

import hashlib

import pytest

from gateway.xmpp import ns
from gateway.xmpp.component import digest, for_component, from_component, header, proves
from gateway.xmpp.element import Element
from gateway.xmpp.parser import StreamParser

CONTENT = frozenset({ns.COMPONENT, ns.CLIENT})


def on_stream(xml: str, declared: str = "") -> Element:
    """One element of a component's stream, whose header declares what is given besides the usual."""
    parser = StreamParser(content=CONTENT)
    opening = f"<stream:stream xmlns='{ns.COMPONENT}' xmlns:stream='{ns.STREAM}' {declared}>"
    (_, element) = parser.feed((opening + xml).encode())
    assert isinstance(element, Element)
    return element


def for_client(xml: str, declared: str = "") -> str:
    """What a client gets of it."""
    return from_component(on_stream(xml, declared)).retagged({"from": "a@b"}).decode()


def test_the_digest_is_sha1_of_stream_id_and_secret_in_lower_case_digits() -> None:
    assert hashlib.sha1(b"id" + "gehéim".encode()).hexdigest() == digest("id", "gehéim")


@pytest.mark.parametrize("text", ["", "{}x", "x{}", "{upper}"])
def test_another_digest_proves_nothing(text: str) -> None:
    right = digest("id", "secret")

    assert proves(on_stream(f"<handshake> {right}\n</handshake>"), stream_id="id", secret="secret")
    wrong = on_stream(f"<handshake>{text.format(right, upper=right.upper())}</handshake>")
    assert not proves(wrong, stream_id="id", secret="secret")


def test_the_header_escapes_what_it_is_given() -> None:
    assert b"from='a&amp;b'" in header(domain="a&b", stream_id="1")


def test_what_declares_nothing_keeps_its_bytes() -> None:
    content = "<body>1 &lt; 2 <![CDATA[<x>]]></body><x xmlns='urn:x' a='>'/>"

    assert f"<message from='a@b' to='c'>{content}</message>" == for_client(f"<message to='c'>{content}</message>")


def test_children_are_in_the_clients_namespace() -> None:
    element = from_component(on_stream("<message><body/><x xmlns='urn:x'/></message>"))

    assert ns.CLIENT == element.ns
    assert element.is_stanza
    assert ((ns.CLIENT, "body"), ("urn:x", "x")) == element.children


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        (f"<message xmlns='{ns.COMPONENT}'><body/></message>", "<message from='a@b'><body/></message>"),
        (f"<message xmlns='{ns.CLIENT}'><body/></message>", "<message from='a@b'><body/></message>"),
        (
            f'<message><body xmlns = "{ns.COMPONENT}">x</body></message>',
            f"<message from='a@b'><body xmlns = '{ns.CLIENT}'>x</body></message>",
        ),
        (
            f"<message><x xmlns='urn:x'><message xmlns='{ns.COMPONENT}'/></x></message>",
            f"<message from='a@b'><x xmlns='urn:x'><message xmlns='{ns.CLIENT}'/></x></message>",
        ),
        (
            f"<message><c:x xmlns:c='{ns.COMPONENT}'/></message>",
            f"<message from='a@b'><c:x xmlns:c='{ns.CLIENT}'/></message>",
        ),
    ],
)
def test_declarations_of_the_components_namespace_become_the_clients(sent: str, got: str) -> None:
    assert got == for_client(sent)


@pytest.mark.parametrize(
    "content",
    [
        f"<body>xmlns='{ns.COMPONENT}'</body>",
        f"<body><![CDATA[<a xmlns='{ns.COMPONENT}'>]]></body>",
        f"<x xmlns='urn:x' a=\" xmlns='{ns.COMPONENT}'\"/>",
        f"<x xmlns='urn:x' to='{ns.COMPONENT}'/>",
    ],
)
def test_text_and_values_that_only_look_like_declarations_stay(content: str) -> None:
    assert f"<message from='a@b'>{content}</message>" == for_client(f"<message>{content}</message>")


def test_a_prefix_of_the_streams_header_is_declared_anew() -> None:
    got = for_client("<message><c:x/></message>", f"xmlns:c='{ns.COMPONENT}'")

    assert f"<message from='a@b' xmlns:c='{ns.CLIENT}'><c:x/></message>" == got


@pytest.mark.parametrize(
    ("queued", "written"),
    [
        ("<message><body>jabber:client</body></message>", "<message><body>jabber:client</body></message>"),
        (
            f"<message><body xmlns='{ns.CLIENT}'/></message><iq><error xmlns='{ns.CLIENT}'><x xmlns='u'/></error></iq>",
            f"<message><body xmlns='{ns.COMPONENT}'/></message>"
            f"<iq><error xmlns='{ns.COMPONENT}'><x xmlns='u'/></error></iq>",
        ),
        (
            f"<message><x xmlns='u'><message xmlns='{ns.CLIENT}'/></x></message>",
            f"<message><x xmlns='u'><message xmlns='{ns.CLIENT}'/></x></message>",
        ),
    ],
)
def test_for_a_component_a_stanzas_own_children_are_in_the_streams_namespace(queued: str, written: str) -> None:
    assert written == for_component(queued.encode()).decode()


def test_stanzas_that_name_no_namespace_of_clients_go_to_a_component_as_they_are() -> None:
    stanza = b"<message><body>1</body></message>"

    assert stanza is for_component(stanza)
