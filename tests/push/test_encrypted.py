"""`tigase:push:encrypt:0`: what a device opens with its key, and that nothing else is in it."""

import base64
import json
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.mailbox.pushes import Registration
from workers.push.encrypted import LIMIT, encrypted
from workers.push.notification import Encrypted, Push

KEY = bytes(range(16))


def a_registration(key: bytes = KEY, encryption: str = "aes-128-gcm") -> Registration:
    text = base64.b64encode(key).decode()
    return Registration(
        service="push.localhost", node="n", sid="s", resource="phone", app="ios", token="t",
        encryption=encryption, key=text,
    )  # fmt: skip


def a_push(**changes: Any) -> Push:
    settings: dict[str, Any] = {
        "app": "ios", "token": "t", "push_id": "p", "expires_at": 1.0, "count": 2, "sender": "romeo@localhost",
        "body": "Wherefore?", "registration": a_registration(),
    }  # fmt: skip
    return Push(**{**settings, **changes})


def opened(sealed: Encrypted | None, key: bytes = KEY) -> dict[str, Any]:
    assert sealed is not None
    plain = AESGCM(key).decrypt(base64.b64decode(sealed.iv), base64.b64decode(sealed.data), None)
    found: dict[str, Any] = json.loads(plain)
    return found


def test_the_device_reads_who_wrote_and_what() -> None:
    assert {"unread": 2, "sender": "romeo@localhost", "type": "chat", "message": "Wherefore?"} == opened(
        encrypted(a_push())
    )


def test_the_badge_counts_what_is_unread_rather_than_what_waits() -> None:
    assert 7 == opened(encrypted(a_push(unread=7)))["unread"]


def test_a_rooms_message_names_the_room_and_the_nickname() -> None:
    found = opened(encrypted(a_push(sender="court@rooms.localhost/The Prince")))

    assert ("groupchat", "court@rooms.localhost", "The Prince") == (found["type"], found["sender"], found["nickname"])


def test_a_call_is_marked_outside_and_names_its_session_inside() -> None:
    sealed = encrypted(a_push(kind="call", call="call-1", sender="romeo@localhost/phone", body=None))
    found = opened(sealed)

    assert sealed is not None
    assert "voip" == sealed.type
    assert ("call", "romeo@localhost/phone", "call-1") == (found["type"], found["sender"], found["sid"])
    assert "message" not in found


def test_a_longer_key_is_used_if_the_client_asked_for_it() -> None:
    key = bytes(32)
    push = a_push(registration=a_registration(key, "aes-256-gcm"))

    assert "Wherefore?" == opened(encrypted(push), key)["message"]


def test_no_two_payloads_share_their_iv() -> None:
    ivs = {sealed.iv for sealed in (encrypted(a_push()) for _ in range(50)) if sealed is not None}

    assert 50 == len(ivs)


def test_what_was_tampered_with_does_not_open() -> None:
    sealed = encrypted(a_push())
    assert sealed is not None
    data = bytearray(base64.b64decode(sealed.data))
    data[0] ^= 1

    with pytest.raises(InvalidTag):
        opened(Encrypted(base64.b64encode(bytes(data)).decode(), sealed.iv))


@pytest.mark.parametrize("body", ["x" * 9000, "ö" * 9000, '"' * 9000, "\U0001f469‍\U0001f680" * 900])
def test_a_long_body_is_cut_until_it_fits(body: str) -> None:
    sealed = encrypted(a_push(body=body))
    assert sealed is not None
    message = opened(sealed)["message"]

    assert LIMIT - 24 < len(sealed.data) <= LIMIT
    assert message.endswith("…")
    assert body.startswith(message[:-1])


@pytest.mark.parametrize(
    ("encryption", "key"), [("", KEY), ("aes-128-gcm", b""), ("aes-128-gcm", bytes(15)), ("rot13", KEY)]
)
def test_a_key_that_cannot_be_used_seals_nothing(encryption: str, key: bytes) -> None:
    assert encrypted(a_push(registration=a_registration(key, encryption))) is None


def test_what_is_no_base64_is_no_key() -> None:
    registration = Registration(
        service="s", node="n", sid="", resource="", app="a", token="t", encryption="aes-128-gcm", key="!!"
    )

    assert encrypted(a_push(registration=registration)) is None


def test_what_came_sealed_is_passed_on_as_it_is() -> None:
    sealed = Encrypted("AAAA", "BBBB", "voip")

    assert sealed == encrypted(a_push(sealed=sealed))
    assert encrypted(a_push(sealed=Encrypted("A" * (LIMIT + 4), "BBBB"))) is None


def test_a_push_that_has_no_sender_is_not_sealed() -> None:
    assert encrypted(a_push(sender=None)) is None


def test_a_call_that_ended_does_not_ring_again() -> None:
    assert encrypted(a_push(kind="call-ended", call="call-1")) is None


def test_nothing_of_it_shows_in_a_repr() -> None:
    sealed = encrypted(a_push())
    assert sealed is not None

    assert sealed.data not in repr(sealed)


@pytest.mark.parametrize("size", [200, 1000, 2999])
def test_a_device_may_have_less_room(size: int) -> None:
    registration = msgspec.structs.replace(a_registration(), max_size=size)
    sealed = encrypted(a_push(body="x" * 5000, registration=registration))

    assert sealed is not None
    assert size - 4 <= len(sealed.data) <= size
    assert opened(sealed)["message"].endswith("…")


def test_a_device_cannot_ask_for_more_room_than_a_provider_has() -> None:
    registration = msgspec.structs.replace(a_registration(), max_size=60_000)
    sealed = encrypted(a_push(body="x" * 5000, registration=registration))

    assert sealed is not None
    assert len(sealed.data) <= LIMIT
