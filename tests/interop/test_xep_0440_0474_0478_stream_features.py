"""slixmpp as it is sees which channel bindings there are, that nobody changed them, and the limits of its stream."""

import base64
import hashlib
from typing import Any, cast
from xml.etree.ElementTree import Element, fromstring

import pytest

from gateway.sections import LimitSettings
from tests.support.deeds import deed
from tests.support.processes import Server
from tests.support.runners import Library

BINDINGS = "{urn:xmpp:sasl-cb:0}sasl-channel-binding"
MECHANISMS = "{urn:ietf:params:xml:ns:xmpp-sasl}mechanisms"
STARTTLS = "{urn:ietf:params:xml:ns:xmpp-tls}starttls"
LIMITS = "{urn:xmpp:stream-limits:0}limits"


@pytest.fixture(scope="module")
def told(server: Server) -> dict[str, Any]:
    found = deed(server, cast(Library, "slixmpp_stream"), server.account(), "features")
    return {**found, "features": [fromstring(one) for one in found["features"]]}


def streams(told: dict[str, Any]) -> tuple[Element, Element, Element]:
    """Before TLS, before authentication, and after it."""
    first, second, third = told["features"]
    return first, second, third


def test_channel_bindings_are_told_with_the_mechanisms_that_take_them(told: dict[str, Any]) -> None:
    plain, secured, authenticated = streams(told)
    kinds = {binding.get("type") for binding in secured.iterfind(f"{BINDINGS}/*")}
    mechanisms = {mechanism.text or "" for mechanism in secured.iterfind(f"{MECHANISMS}/*")}

    assert plain.find(STARTTLS) is not None
    assert (None, None) == (plain.find(BINDINGS), authenticated.find(BINDINGS))
    assert "tls-server-end-point" in kinds
    assert kinds <= {"tls-server-end-point", "tls-exporter", "tls-unique"}
    assert "SCRAM-SHA-256-PLUS" in mechanisms
    assert told["mechanism"] in mechanisms


def test_what_it_saw_is_what_the_challenge_signs_and_it_logs_in_with_it(told: dict[str, Any]) -> None:
    _, secured, _ = streams(told)
    lists = [sorted(one.text or "" for one in secured.iterfind(f"{MECHANISMS}/*"))]
    lists.append(sorted(one.get("type", "") for one in secured.iterfind(f"{BINDINGS}/*")))
    text = "\x1f".join("\x1e".join(names) for names in lists)
    kind = "sha256" if "SHA-256" in told["mechanism"] else "sha1"

    (challenge,) = told["challenges"]

    expected = base64.b64encode(hashlib.new(kind, text.encode()).digest()).decode()
    assert f"h={expected}" == base64.b64decode(challenge).decode().split(",")[3]


def test_it_knows_the_limits_of_its_stream(told: dict[str, Any]) -> None:
    limits = LimitSettings()

    assert [limits.max_stanza_bytes, int(limits.idle_timeout)] == told["limits"]
    assert all(stream.find(LIMITS) is not None for stream in streams(told)[1:])
