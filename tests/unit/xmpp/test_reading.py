"""Texts of an element's descendants."""

from __future__ import annotations

import pytest

from gateway.xmpp.reading import child_text
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
