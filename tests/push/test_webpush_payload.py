"""What an app reads, and what its push service reads."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from gateway.mailbox.pushes import Registration
from tests.push.builders import a_push
from workers.push.notification import Content, collapse_id
from workers.push.providers.webpush.encryption import PLAIN_LIMIT
from workers.push.providers.webpush.payload import headers, payload, topic, wake_only
from workers.push.rules import RESTART
from workers.push.settings import AppSettings

SAID = {"sender": "juliet@capulet.example", "body": "wherefore art thou"}


def registered(content: str = "") -> Registration:
    return Registration(service="s", node="n", sid="", resource="r", app="chat", token="t", content=content)


def told(app: str = "none", **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(payload(a_push(**fields), AppSettings(provider="webpush", content=app)))
    return found


def test_a_payload_says_what_happened_and_for_which_account() -> None:
    push = a_push(count=3, node="account-1", unread=7, requests=2, call="c1", kind="call")

    assert {
        "kind": "call",
        "count": 3,
        "push_id": push.push_id,
        "node": "account-1",
        "unread": 7,
        "requests": 2,
        "call": "c1",
    } == json.loads(payload(push, AppSettings(provider="webpush")))


def test_nothing_is_said_of_what_is_not_known() -> None:
    assert {"kind", "count", "push_id"} == set(told())


@pytest.mark.parametrize(
    ("app", "wanted", "content", "shown"),
    [
        ("none", "", Content.NONE, set()),
        ("sender", "", Content.SENDER, {"sender"}),
        ("body", "", Content.BODY, {"sender", "body"}),
        ("encrypted", "", Content.NONE, {"sender", "body"}),
        ("encrypted", "encrypted", Content.NONE, {"sender", "body"}),
        ("encrypted", "sender", Content.NONE, {"sender"}),
        ("encrypted", "none", Content.NONE, set()),
        ("body", "encrypted", Content.NONE, {"sender", "body"}),
        ("sender", "encrypted", Content.NONE, {"sender"}),
        ("none", "encrypted", Content.NONE, set()),
    ],
)
def test_the_app_is_the_ceiling_and_encrypted_is_everything(
    app: str, wanted: str, content: Content, shown: set[str]
) -> None:
    """`content` is what the dispatcher, which knows nothing of this encryption, makes of the two."""
    found = told(app, registration=registered(wanted), content=content, **SAID)

    assert shown == found.keys() & {"sender", "body"}


@pytest.mark.parametrize("letter", ["a", "é", "漢", "\U0001f339", '"', "\\", "\x01"], ids=ascii)
def test_a_body_is_cut_to_what_one_record_holds(letter: str) -> None:
    push = a_push(body=letter * 20_000, content=Content.BODY, node="n" * 100)
    found = payload(push, AppSettings(provider="webpush"))

    assert PLAIN_LIMIT - 20 <= len(found) <= PLAIN_LIMIT
    assert json.loads(found)["body"].endswith("…")


def test_whatever_is_too_long_a_payload_fits() -> None:
    push = a_push(node="n" * 5000, sender="s" * 5000, body="b" * 5000, call="c" * 5000, content=Content.BODY)

    assert len(payload(push, AppSettings(provider="webpush"))) <= PLAIN_LIMIT


def test_the_smallest_payload_still_says_what_it_is_about() -> None:
    push = a_push(kind="call", **SAID)

    assert {"kind": "call", "push_id": push.push_id} == json.loads(wake_only(push))


def fields(**values: Any) -> dict[str, str]:
    return headers(a_push(**values), authorization="vapid t=x, k=y", is_encrypted=True, now=1000.0)


@pytest.mark.parametrize(("expires_at", "ttl"), [(1060.0, "60"), (1000.9, "0"), (900.0, "0"), (15400.0, "14400")])
def test_the_time_to_live_is_what_is_left_at_this_try(expires_at: float, ttl: str) -> None:
    assert ttl == fields(expires_at=expires_at)["TTL"]


@pytest.mark.parametrize(
    ("kind", "urgent", "urgency"),
    [
        ("message", True, "high"),
        ("call-ended", True, "high"),
        ("call-ended", False, "low"),
        (RESTART, False, "very-low"),
    ],
)
def test_only_what_will_be_seen_is_urgent(kind: str, urgent: bool, urgency: str) -> None:
    assert urgency == fields(kind=kind, urgent=urgent)["Urgency"]


def test_a_body_is_announced_as_what_it_is_and_none_is_not() -> None:
    bare = headers(a_push(), authorization="", is_encrypted=False, now=time.time())

    assert ("aes128gcm", "application/octet-stream") == tuple(
        fields()[name] for name in ("Content-Encoding", "Content-Type")
    )
    assert not bare.keys() & {"Content-Encoding", "Content-Type"}


def test_a_topic_is_32_characters_of_base64url_that_follow_from_the_collapse_id() -> None:
    one, two = collapse_id("message", "a"), collapse_id("message", "b")

    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", fields(collapse_id=one)["Topic"])
    assert topic(one) == topic(one)
    assert topic(one) != topic(two)
    assert "Topic" not in fields()
