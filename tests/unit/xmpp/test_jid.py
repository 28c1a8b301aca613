"""RFC 7622."""

from __future__ import annotations

import pickle

import pytest

from gateway.xmpp.jid import JID, JIDError


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("juliet@example.com", "juliet@example.com"),
        ("Juliet@Example.COM/Balcony", "juliet@example.com/Balcony"),
        ("example.com", "example.com"),
        ("example.com/foobar", "example.com/foobar"),
        ("example.com.", "example.com"),
        ("a.example.com/b@example.net", "a.example.com/b@example.net"),
        ("juliet@example.com/foo bar", "juliet@example.com/foo bar"),
        ("juliet@example.com/a/b@c", "juliet@example.com/a/b@c"),
        ("foo\\20bar@example.com", "foo\\20bar@example.com"),
        ("fußball@example.com", "fußball@example.com"),
        ("ΣΊΓΜΑ@example.com", "σίγμα@example.com"),
        ("\uff41@example.com", "a@example.com"),
        ("king@example.com/♚", "king@example.com/♚"),
        ("a@example.com/x\u3000y", "a@example.com/x y"),
        ("a@Bücher.example", "a@bücher.example"),
        ("a@xn--bcher-kva.example", "a@bücher.example"),
        ("a@[2001:DB8::1]/x", "a@[2001:db8::1]/x"),
        ("a@192.0.2.1", "a@192.0.2.1"),
    ],
)
def test_an_address_is_prepared_once_and_stays_as_it_is(text: str, prepared: str) -> None:
    jid = JID.parse(text)

    assert prepared == str(jid)
    assert jid == JID.parse(prepared)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "domainpart is empty"),
        ("@example.com", "localpart is empty"),
        ("juliet@", "domainpart is empty"),
        ("juliet@/x", "domainpart is empty"),
        ("/x", "domainpart is empty"),
        ("juliet@example.com/", "resourcepart is empty"),
        ('"juliet"@example.com', "localpart"),
        ("foo bar@example.com", "localpart"),
        ("o'neil@example.com", "localpart has a character that RFC 7622 excludes"),
        ("a\uff20b@example.com", "localpart has a character that RFC 7622 excludes"),
        ("henry\u2163@example.com", "localpart"),
        ("♚@example.com", "localpart"),
        ("a@b@c", "domainpart"),
        ("a@-b", "domainpart"),
        ("a@b..c", "domainpart"),
        ("a@b..", "domainpart"),
        ("a@b c", "domainpart"),
        ("a@b\n", "domainpart"),
        ("a@[::g]", "domainpart"),
        ("a@[1:2]", "no IPv6 address"),
        ("a@b/x\n", "resourcepart"),
        ("a@b/\x00", "resourcepart"),
        ("\ud800@b", "no Unicode text"),
        ("x" * 1024 + "@b", "longer than 1023 bytes"),
        ("a@" + "b." * 512 + "c", "longer than 1023 bytes"),
        ("a@b/" + "é" * 512, "longer than 1023 bytes"),
        ("a@" + "ü" * 512, "longer than 1023 bytes"),
        ("a@" + "ü" * 60, "domainpart"),
    ],
)
def test_what_is_no_address_is_refused_with_its_part(text: str, fault: str) -> None:
    with pytest.raises(JIDError, match=fault):
        JID.parse(text)


def test_the_longest_parts_are_taken() -> None:
    jid = JID.parse("x" * 1023 + "@b/" + "y" * 1023)

    assert (1023, 1023) == (len(jid.local), len(jid.resource))


def test_a_full_address_knows_its_bare_one() -> None:
    jid = JID.parse("Romeo@localhost/Orchard")

    assert JID.parse("romeo@localhost") == jid.bare
    assert jid.is_full and not jid.is_bare
    assert jid.bare.is_bare and not jid.bare.is_full
    assert jid.bare is jid.bare.bare
    assert ("romeo", "localhost", "Orchard") == (jid.local, jid.domain, jid.resource)


def test_a_resource_is_checked_when_it_is_put_on() -> None:
    jid = JID.parse("romeo@localhost").with_resource("phone")

    assert "romeo@localhost/phone" == str(jid)
    with pytest.raises(JIDError, match="resourcepart is empty"):
        jid.with_resource("")


def test_equal_addresses_are_one_key() -> None:
    one, other = JID.parse("Romeo@localhost/a"), JID("romeo", "localhost", "a")

    assert {one} == {one, other}
    assert one != "romeo@localhost/a"
    assert one == pickle.loads(pickle.dumps(one))
    assert "JID('romeo@localhost/a')" == repr(one)


def test_an_address_cannot_change() -> None:
    jid = JID.parse("romeo@localhost")

    with pytest.raises(AttributeError):
        jid.local = "juliet"
    with pytest.raises(AttributeError):
        del jid.local
