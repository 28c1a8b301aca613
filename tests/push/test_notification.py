"""What is said to a phone."""

from __future__ import annotations

import json
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mailbox.push_model import bucket_of_push, push_id
from tests.push.builders import a_push
from workers.push.notification import Content, collapse_id, cut, fitted


@pytest.mark.parametrize(
    ("app", "registration", "expected"),
    [
        ("none", "", Content.NONE),
        ("body", "", Content.BODY),
        ("body", "sender", Content.SENDER),
        ("sender", "body", Content.SENDER),
        ("body", "rubbish", Content.NONE),
        ("encrypted", "", Content.NONE),
    ],
)
def test_a_client_may_ask_for_less_and_never_for_more(app: str, registration: str, expected: Content) -> None:
    assert expected is Content.allowed(app, registration)


def test_by_default_a_push_tells_nothing() -> None:
    push = a_push(sender="juliet@example.com", body="O Romeo")

    assert push.shown_sender is None
    assert push.shown_body is None


def test_sender_does_not_tell_the_body() -> None:
    push = a_push(sender="juliet@example.com", body="O Romeo", content=Content.SENDER)

    assert "juliet@example.com" == push.shown_sender
    assert push.shown_body is None


def test_neither_token_nor_sender_nor_body_is_in_its_repr() -> None:
    text = repr(a_push(token="secret-token", sender="juliet@example.com", body="O Romeo", node="my-node"))

    assert not [word for word in ("secret-token", "juliet", "Romeo", "my-node") if word in text]


def test_a_push_id_stays_the_same_over_retries_and_differs_between_devices() -> None:
    assert push_id(7, "1-0", "push.example.com node") == push_id(7, "1-0", "push.example.com node")
    assert push_id(7, "1-0", "push.example.com node") != push_id(7, "1-0", "push.example.com other")


def test_a_push_id_is_a_uuid_that_tells_where_its_trace_is() -> None:
    name = push_id(63, "1-0", "node")

    assert (name, 63) == (str(uuid.UUID(name)), bucket_of_push(name))
    assert [None, None] == [bucket_of_push(text) for text in ("no id", "ff000000-0000-5000-8000-000000000000")]


def test_a_collapse_id_does_not_tell_what_it_is_made_of() -> None:
    name = collapse_id("message", "romeo@example.com")

    assert len(name.encode()) <= 64
    assert "romeo" not in name


def encode(body: str | None) -> bytes:
    return msgspec.json.encode({"body": body} if body is not None else {})


@given(st.text(max_size=3000), st.integers(20, 500))
def test_a_body_is_cut_to_what_fits_and_stays_text(body: str, limit: int) -> None:
    payload = fitted(encode, body, limit=limit)
    told = json.loads(payload.decode("utf-8")).get("body", "")

    assert len(payload) <= limit
    assert body == told or told == "" or body.startswith(told.removesuffix("…").rstrip())


def test_as_much_as_possible_is_kept() -> None:
    payload = fitted(encode, "a" * 10_000)

    assert 4096 - 2 <= len(payload) <= 4096


@pytest.mark.parametrize("whole", ["👨‍👩‍👧", "e\u0301"])
def test_a_composed_character_is_not_cut_in_two(whole: str) -> None:
    told = cut("x" * 10 + whole + "y" * 10, 12)

    assert "x" * 10 + "…" == told
