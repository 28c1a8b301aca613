"""What Apple and Google are sent: all that may be told, nothing that may not, and never too much."""

from __future__ import annotations

import base64
import json
import warnings
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from firebase_admin import messaging
from hypothesis import given
from hypothesis import strategies as st

from gateway.mailbox.pushes import Registration
from tests.push.builders import DEVICE, a_push
from workers.push.notification import Content, Push
from workers.push.providers.apns import payload as apns
from workers.push.providers.fcm import payload as fcm
from workers.push.settings import AppSettings

KEY = bytes(range(16))
APP = AppSettings(provider="apns", topic="org.example.chat")


def a_registration(**fields: Any) -> Registration:
    values = {"service": "push.example", "node": "n", "sid": "s", "resource": "r", "app": "chat", "token": DEVICE}
    return Registration(**{**values, **fields})


def sealed(**fields: Any) -> Registration:
    return a_registration(encryption="aes-128-gcm", key=base64.b64encode(KEY).decode(), **fields)


def apns_payload(push: Push, app: AppSettings = APP) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(apns.payload(push, app))
    return made


def aps(push: Push, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = apns_payload(push, AppSettings(provider="apns", **fields))["aps"]
    return made


def fcm_message(push: Push, now: float = 0.0) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(fcm.payload(push, now=now))["message"]
    return made


def header(push: Push, name: bytes) -> bytes | None:
    made = apns.headers(push, topic="org.example.chat", authority=b"a", bearer="t", now=1000.0)
    return next((value for known, value, _ in made if known == name), None)


texts = st.one_of(
    st.none(),
    st.text(max_size=200),
    st.builds(lambda letter, many: letter * many, st.characters(exclude_categories=["Cs"]), st.integers(0, 6000)),
)


@st.composite
def pushes(draw: st.DrawFn) -> Push:
    """Any push of anything to anybody."""
    return a_push(
        kind=draw(st.sampled_from(["message", "call", "call-ended", "last-call", "restart"])),
        urgent=draw(st.booleans()),
        count=draw(st.integers(0, 10**9)),
        sender=draw(texts),
        body=draw(texts),
        content=draw(st.sampled_from(list(Content))),
        node=draw(texts) or "",
        voip_token=draw(st.sampled_from(["", DEVICE])),
        unread=draw(st.one_of(st.none(), st.integers(0, 10**9))),
        requests=draw(st.integers(0, 10**6)),
        call=draw(texts) or "",
        collapse_id="c" * 36,
        registration=draw(st.sampled_from([None, a_registration(), sealed(), a_registration(content="encrypted")])),
    )


@given(pushes(), texts, texts)
def test_any_push_fits_apple_and_is_json(push: Push, text: str | None, key: str | None) -> None:
    app = AppSettings(
        provider="apns", message_text=text or "", call_text=text or "", missed_call_text=text or "",
        message_key=key or "", call_key=key or "", missed_call_key=key or "", sound=key or "", call_sound=key or "",
    )  # fmt: skip
    limit = 5120 if header(push, b"apns-push-type") == b"voip" else 4096
    for made in (apns.payload(push, app), apns.wake_only(push, app)):
        assert len(made) <= limit
        assert "aps" in json.loads(made)


@given(pushes())
def test_any_push_fits_google_and_is_json_with_strings_for_data(push: Push) -> None:
    data = fcm_message(push)["data"]

    assert 4096 >= sum(len(name.encode()) + len(value.encode()) for name, value in data.items())
    assert all(isinstance(value, str) for value in data.values())
    assert {"kind", "count", "push_id"} <= set(data)


@given(pushes(), st.sampled_from(["apns", "fcm"]))
def test_nothing_is_told_in_clear_that_may_not_be(push: Push, provider: str) -> None:
    secret = "sécret \U0001f339 word"
    told = a_push(**{**vars(push), "sender": secret + "@example.com", "body": secret})
    made = apns_payload(told) if provider == "apns" else fcm_message(told)
    is_sealed = told.registration is not None and (told.registration.key or told.registration.content)
    times = json.dumps(made, ensure_ascii=False).count(secret)

    if is_sealed or told.content is Content.NONE:
        assert 0 == times
    if told.content is Content.SENDER:
        assert 1 >= times


@given(pushes())
def test_what_google_gets_is_spelt_as_its_own_library_spells_it(push: Push) -> None:
    made = fcm_message(push, now=push.expires_at - 100)
    android = messaging.AndroidConfig(
        priority="high" if push.urgent else "normal", ttl=100, collapse_key=push.collapse_id
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        theirs = messaging.Message(data=made["data"], android=android, token=push.token)

    assert json.loads(str(theirs)) == made


def test_a_message_is_an_alert_with_words_of_its_own_that_the_apps_extension_may_replace() -> None:
    expected = {"alert": {"body": "New message"}, "mutable-content": 1, "sound": "default"}

    assert expected == aps(a_push(kind="message"))


def test_the_words_may_be_the_apps_own_strings() -> None:
    expected = {"loc-key": "NEW_MESSAGES", "loc-args": ["3"]}

    assert expected == aps(a_push(count=3), message_key="NEW_MESSAGES")["alert"]
    assert {"body": "O Romeo"} == aps(a_push(body="O Romeo", content=Content.BODY), message_key="NEW_MESSAGES")["alert"]


@pytest.mark.parametrize(
    ("kind", "text", "sound"),
    [("message", "m", "s"), ("last-call", "m", "s"), ("call", "c", "ring"), ("call-ended", "e", "s")],
)
def test_each_kind_has_its_words_and_its_sound(kind: str, text: str, sound: str) -> None:
    made = aps(a_push(kind=kind), message_text="m", call_text="c", missed_call_text="e", sound="s", call_sound="ring")

    assert ({"body": text}, sound) == (made["alert"], made["sound"])


def test_no_sound_is_none() -> None:
    assert "sound" not in aps(a_push(), sound="")


@pytest.mark.parametrize(
    ("unread", "badge", "expected"), [(7, True, 7), (0, True, 0), (None, True, None), (7, False, None)]
)
def test_the_badge_is_what_is_unread_where_that_is_known_and_wanted(
    unread: int | None, badge: bool, expected: int | None
) -> None:
    assert expected == aps(a_push(unread=unread), badge=badge).get("badge")


def test_notifications_of_a_conversation_are_grouped_only_where_the_sender_is_told() -> None:
    def thread(sender: str, content: Content = Content.SENDER, node: str = "n") -> str | None:
        push = a_push(sender=sender, content=content, registration=a_registration(node=node))
        return aps(push).get("thread-id")

    assert thread("room@muc.example/romeo") == thread("room@muc.example/juliet") is not None
    assert thread("room@muc.example/romeo") != thread("other@muc.example/romeo")
    assert thread("room@muc.example/romeo") != thread("room@muc.example/romeo", node="other")
    assert thread("room@muc.example/romeo", Content.NONE) is None


def test_only_a_call_breaks_through_a_focus() -> None:
    assert ["time-sensitive", None, None] == [
        aps(a_push(kind=kind)).get("interruption-level") for kind in ("call", "call-ended", "message")
    ]


def test_what_shows_nothing_is_a_background_push_without_alert_sound_or_badge() -> None:
    push = a_push(urgent=False, kind="restart", unread=4, sender="a@b", body="x", content=Content.BODY)
    made = apns_payload(push)

    assert {"content-available": 1} == made["aps"]
    assert {"kind": "restart", "count": 1, "unread": 4} == made["wakegate"]
    assert (b"background", b"5") == (header(push, b"apns-push-type"), header(push, b"apns-priority"))


def test_a_call_goes_to_the_pushkit_token_where_there_is_one() -> None:
    push = a_push(
        kind="call", voip_token="cd" * 32, call="ca11", sender="r@x", content=Content.SENDER, collapse_id="c" * 36
    )

    assert {"aps": {}, "wakegate": {"kind": "call", "count": 1, "call": "ca11", "sender": "r@x"}} == apns_payload(push)
    assert b"/3/device/" + b"cd" * 32 == header(push, b":path")
    assert (b"voip", b"org.example.chat.voip", b"10", b"1010", None) == tuple(
        header(push, name)
        for name in (b"apns-push-type", b"apns-topic", b"apns-priority", b"apns-expiration", b"apns-collapse-id")
    )


def test_without_a_pushkit_token_a_call_is_an_alert_and_its_end_another_with_the_same_collapse_id() -> None:
    ringing, ended = (a_push(kind=kind, call="ca11", collapse_id="c" * 36) for kind in ("call", "call-ended"))

    assert [b"alert", b"alert"] == [header(push, b"apns-push-type") for push in (ringing, ended)]
    assert header(ringing, b"apns-collapse-id") == header(ended, b"apns-collapse-id") is not None
    assert {"body": "Missed call"} == aps(ended)["alert"]
    assert "ca11" == apns_payload(ended)["wakegate"]["call"]


@pytest.mark.parametrize("provider", ["apns", "fcm"])
def test_to_a_device_that_gave_a_key_all_is_told_sealed(provider: str) -> None:
    push = a_push(sender="juliet@example.com/b", body="O Romeo", content=Content.BODY, registration=sealed(), unread=2)
    made = apns_payload(push) if provider == "apns" else fcm_message(push)["data"]
    opened = AESGCM(KEY).decrypt(base64.b64decode(made["iv"]), base64.b64decode(made["encrypted"]), None)

    assert "O Romeo" == json.loads(opened)["message"]
    assert not [word for word in ("juliet", "Romeo") if word in json.dumps(made)]


def test_what_is_too_long_is_shortened_body_first() -> None:
    push = a_push(sender="juliet@example.com", body="x" * 9000, content=Content.BODY, node="n" * 1000, call="c" * 200)
    made = apns_payload(push)

    assert made["aps"]["alert"]["body"].endswith("…")
    assert 2500 < len(made["aps"]["alert"]["body"])
    assert ("n" * 1000, "c" * 200) == (made["wakegate"]["node"], made["wakegate"]["call"])


def test_a_callers_overlong_id_takes_the_room_of_nothing_else() -> None:
    push = a_push(kind="call", call="c" * 5000, node="account-1")

    assert {"kind": "call", "count": 1, "node": "account-1"} == apns_payload(push)["wakegate"]


def test_google_gets_all_facts_as_strings() -> None:
    push = a_push(
        kind="call", count=2, node="n", call="ca11", unread=5, requests=1, sender="r@x", content=Content.SENDER
    )
    expected = {
        "kind": "call", "count": "2", "push_id": push.push_id, "node": "n", "call": "ca11", "unread": "5",
        "requests": "1", "sender": "r@x",
    }  # fmt: skip

    assert expected == fcm_message(push)["data"]


@pytest.mark.parametrize(("kind", "priority"), [("call-answered", "high"), ("restart", "normal")])
def test_a_phone_that_rings_is_told_at_once_that_it_may_stop(kind: str, priority: str) -> None:
    assert priority == fcm_message(a_push(kind=kind, urgent=False))["android"]["priority"]
