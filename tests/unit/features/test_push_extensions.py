"""Tigase's extensions inside `<enable/>`: encryption, muted chats, rooms, strangers."""

from __future__ import annotations

import msgspec
import pytest

from gateway.features.push.tigase import MOST_CHATS, described
from gateway.mailbox.pushes import Filters, Registration
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaError
from gateway.xmpp.payload import read

PLAIN = Registration(service="push.localhost", node="n", sid="s", resource="r", app="chat", token="t")
KEY_16, KEY_32 = "AAECAwQFBgcICQoLDA0ODw==", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def registered(inner: str, **fields: str) -> Registration:
    """What becomes of a registration with these fields whose <enable/> holds that."""
    content = read(f"<enable xmlns='{ns.PUSH}' jid='push.localhost' node='n'>{inner}</enable>".encode())
    return described(next(iter(content.values())), msgspec.structs.replace(PLAIN, **fields))


def encrypt(key: str = KEY_16, attributes: str = "alg='aes-128-gcm'") -> str:
    return f"<encrypt xmlns='{ns.PUSH_ENCRYPT}' {attributes}>{key}</encrypt>"


def muted(*jids: str) -> str:
    items = "".join(f"<item jid='{jid}'/>" for jid in jids)
    return f"<muted xmlns='{ns.PUSH_MUTED}'>{items}</muted>"


def groupchat(*rooms: str) -> str:
    return f"<groupchat xmlns='{ns.PUSH_GROUPCHAT}'>{''.join(f'<room {room}/>' for room in rooms)}</groupchat>"


def refusal(inner: str, **fields: str) -> StanzaError:
    with pytest.raises(StanzaError) as refused:
        registered(inner, **fields)
    return refused.value


def test_without_extensions_nothing_is_filtered_or_encrypted() -> None:
    assert PLAIN == registered("<x xmlns='jabber:x:data' type='submit'/>")


# Encryption


def test_a_key_means_that_the_content_is_encrypted() -> None:
    found = registered(encrypt())

    assert ("aes-128-gcm", KEY_16, "encrypted") == (found.encryption, found.key, found.content)


def test_a_key_of_256_bits_is_for_aes_256() -> None:
    assert KEY_32 == registered(encrypt(KEY_32, "alg='aes-256-gcm'")).key


def test_a_key_may_be_broken_into_lines_and_have_a_limit_beside_it() -> None:
    lines = f"\n      {KEY_16[:10]}\n      {KEY_16[10:]}\n    "

    found = registered(encrypt(lines, "alg='aes-128-gcm' max-size='3000'"))

    assert (KEY_16, 3000) == (found.key, found.max_size)
    assert 0 == registered(encrypt()).max_size


@pytest.mark.parametrize("size", ["127", "65537", "-3000", "many", "3000.0", "9" * 5000, "٣٠٠٠"])
def test_a_limit_that_nothing_could_keep_is_refused(size: str) -> None:
    assert "not-acceptable" == refusal(encrypt(KEY_16, f"alg='aes-128-gcm' max-size='{size}'")).condition


def test_a_client_with_a_key_may_ask_for_nothing_to_be_told() -> None:
    assert "none" == registered(encrypt(), content="none").content


@pytest.mark.parametrize("content", ["sender", "body"])
def test_a_key_and_plain_content_contradict_each_other(content: str) -> None:
    assert "bad-request" == refusal(encrypt(), content=content).condition


def test_encrypted_content_needs_a_key() -> None:
    assert "bad-request" == refusal("", content="encrypted").condition


def test_web_push_has_its_keys_already() -> None:
    assert "encrypted" == registered("", content="encrypted", p256dh="p", auth="a").content


def test_an_app_server_gets_no_content_mode() -> None:
    assert ("", KEY_16) == (registered(encrypt(), app="").content, registered(encrypt(), app="").key)


@pytest.mark.parametrize(
    "inner",
    [encrypt(KEY_16, ""), encrypt(KEY_16, "alg='rot13'"), encrypt(KEY_16, "alg=''"), encrypt(""), encrypt(KEY_32),
     encrypt(KEY_16, "alg='aes-256-gcm'"), encrypt("no base64!"), encrypt(KEY_16[:-1]), encrypt("A" * 5000),
     encrypt(f"<a xmlns='urn:a'>{KEY_16}</a>"), encrypt() + encrypt(), f"<encrypt xmlns='{ns.PUSH_ENCRYPT}'/>"],
)  # fmt: skip
def test_a_key_that_cannot_be_used_is_refused(inner: str) -> None:
    assert "not-acceptable" == refusal(inner).condition


def test_the_refusal_of_a_key_does_not_repeat_it() -> None:
    assert KEY_32[:8] not in str(refusal(encrypt(KEY_32)))


# Filters


def test_muted_chats_are_bare_jids_each_once() -> None:
    found = registered(muted("Romeo@localhost/orchard", "romeo@localhost", "a@b"))

    assert Filters(muted=("a@b", "romeo@localhost")) == found.filters


def test_rooms_have_their_rules_and_others_wake_by_mentions() -> None:
    rooms = (
        "jid='a@rooms.x' allow='always'",
        "jid='b@rooms.x' allow='mentioned' nick='J: J'",
        "jid='c@rooms.x' allow='mentioned'",
        "jid='d@rooms.x' allow='never'",
    )

    assert (
        Filters(
            rooms={
                "": "mentioned",
                "a@rooms.x": "always",
                "b@rooms.x": "mentioned:J: J",
                "c@rooms.x": "mentioned",
                "d@rooms.x": "never",
            }
        )
        == registered(groupchat(*rooms)).filters
    )


def test_an_empty_list_of_rooms_is_still_a_filter() -> None:
    assert Filters(rooms={"": "mentioned"}) == registered(groupchat()).filters


def test_an_empty_list_of_muted_chats_is_none() -> None:
    assert registered(muted()).filters is None


def test_strangers_may_be_ignored() -> None:
    found = registered(f"<ignore-unknown xmlns='{ns.PUSH_IGNORE_UNKNOWN}'/>")

    assert Filters(ignore_unknown=True) == found.filters


def test_what_is_always_so_may_be_asked_for() -> None:
    assert PLAIN == registered(f"<priority xmlns='{ns.PUSH_PRIORITY}'/><jingle xmlns='{ns.PUSH_JINGLE}'/>")


BAD_FILTERS = {
    "a chat without a jid": (f"<muted xmlns='{ns.PUSH_MUTED}'><item/></muted>", "bad-request"),
    "an empty jid": (muted(""), "bad-request"),
    "a malformed jid": (muted("@"), "jid-malformed"),
    "a room without a jid": (groupchat("allow='always'"), "bad-request"),
    "a room without a rule": (groupchat("jid='a@b'"), "bad-request"),
    "an unknown rule": (groupchat("jid='a@b' allow='sometimes'"), "bad-request"),
    "a long nickname": (groupchat(f"jid='a@b' allow='mentioned' nick='{'n' * 5000}'"), "not-acceptable"),
    "too many chats": (muted(*(f"u{n}@b" for n in range(MOST_CHATS + 1))), "not-acceptable"),
    "too many chats and rooms": (
        muted(*(f"u{n}@b" for n in range(MOST_CHATS))) + groupchat("jid='a@b' allow='always'"),
        "not-acceptable",
    ),
}


@pytest.mark.parametrize("what", BAD_FILTERS)
def test_filters_that_cannot_be_understood_are_refused(what: str) -> None:
    inner, condition = BAD_FILTERS[what]

    assert condition == refusal(inner).condition
