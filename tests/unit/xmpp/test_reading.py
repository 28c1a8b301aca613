"""Texts of an element's descendants, attributes of its child."""

from __future__ import annotations

import pytest

from gateway.xmpp.reading import child_attributes, child_text
from tests.unit.xmpp.builders import element

PATH = (("urn:ietf:params:xml:ns:xmpp-bind", "bind"), ("urn:ietf:params:xml:ns:xmpp-bind", "resource"))


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        (b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>phone</resource></bind>", "phone"),
        (b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource a='b'>phone</resource></bind>", "phone"),
        (b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource/></bind>", ""),
        (b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>a</resource><resource>b</resource></bind>", ""),
        (b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>text</bind>", ""),
        (b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>", ""),
        (b"", ""),
    ],
)
def test_a_text_is_found_by_its_path(inner: bytes, text: str) -> None:
    assert text == child_text(element(b"<iq type='set'>%b</iq>" % inner), *PATH)


@pytest.mark.parametrize(
    ("inner", "attributes"),
    [
        (b"<query xmlns='r' ver='7'/>", {"xmlns": "r", "ver": "7"}),
        (b"<q:query xmlns:q='r' ver='a&lt;b'><item ver='8'/></q:query>", {"xmlns:q": "r", "ver": "a<b"}),
        (b" \n<query xmlns='r'/>", {"xmlns": "r"}),
        (b"x<![CDATA[<query ver='1'/>]]><query xmlns='r' ver='2'/>", {"xmlns": "r", "ver": "2"}),
    ],
)
def test_attributes_are_those_of_the_child(inner: bytes, attributes: dict[str, str]) -> None:
    assert attributes == child_attributes(element(b"<iq type='get'>%b</iq>" % inner))
