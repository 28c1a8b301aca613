"""What publishes of other servers say, as they write them."""

from __future__ import annotations

import pytest

from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaError
from gateway.xmpp.stanza import peek
from workers.appserver.published import LONGEST_TEXT, Published, message, read
from workers.push.encrypted import sealed_in
from workers.push.summary import summary

TIGASE = "tigase:push:encrypt:0"


def fields(**told: str) -> str:
    told = {"FORM_TYPE": ns.PUSH_SUMMARY, **{name.replace("_", "-"): value for name, value in told.items()}}
    told["FORM_TYPE"] = ns.PUSH_SUMMARY
    return "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in told.items())


def form(type_: str = " type='form'", **told: str) -> str:
    return f"<x xmlns='{ns.DATA_FORMS}'{type_}>{fields(**told)}</x>"


def options(secret: str) -> str:
    return (
        f"<publish-options><x xmlns='{ns.DATA_FORMS}' type='submit'>"
        f"<field var='FORM_TYPE'><value>{ns.PUBSUB_PUBLISH_OPTIONS}</value></field>"
        f"<field var='secret'><value>{secret}</value></field></x></publish-options>"
    )


def pubsub(inner: str, *, behind: str = "", node: str = "n") -> Published:
    stanza = (
        f"<iq type='set' id='1' from='peer.example' to='push.peer.example'><pubsub xmlns='{ns.PUBSUB}'>"
        f"<publish node='{node}'><item>{inner}</item></publish>{behind}</pubsub></iq>"
    )
    return read(peek(stanza.encode()))


def notification(inner: str = "", *, behind: str = "") -> Published:
    return pubsub(f"<notification xmlns='{ns.PUSH}'>{inner}</notification>", behind=behind)


@pytest.mark.parametrize("type_", [" type='form'", " type='submit'", " type='result'", ""])
def test_the_summary_is_read_whatever_type_its_form_has(type_: str) -> None:
    told = {
        "message_count": "3", "last_message_sender": "romeo@peer.example/orchard", "last_message_body": "hi",
        "pending_subscription_count": "1",
    }  # fmt: skip
    found = notification(form(type_, **told), behind=options("s3"))

    assert Published(
        node="n", secret="s3", count=3, requests=1, sender="romeo@peer.example/orchard", body="hi", is_important=True
    ) == found  # fmt: skip


def test_an_empty_notification_is_one_that_nobody_need_see() -> None:
    assert Published(node="n") == notification()


@pytest.mark.parametrize(
    ("inner", "is_important"),
    [
        (form(message_count="1", last_message_body="New Message!"), True),
        (form(message_count="1"), False),
        (form(message_count="1", last_message_sender="romeo@peer.example", last_message_body=" "), False),
        (form(message_count="0", pending_subscription_count="2"), True),
        ("<priority xmlns='tigase:push:priority:0'>high</priority>", True),
        ("<priority xmlns='tigase:push:priority:0'>low</priority>", False),
        (f"<encrypted xmlns='{TIGASE}' iv='AA=='>AA==</encrypted>", True),
    ],
)
def test_what_somebody_would_want_to_see_is_important(inner: str, is_important: bool) -> None:
    assert is_important == notification(inner).is_important


@pytest.mark.parametrize(
    ("data", "iv", "is_kept"),
    [
        ("c2Vh\nbGVk", "AAAA", True),
        ("A" * 3000, "AAAA", True),
        ("A" * 3001, "AAAA", False),
        ("no-base64!", "AAAA", False),
        ("AAAA", "", False),
        ("AAAA", "A" * 65, False),
        ("", "AAAA", False),
    ],
)
def test_what_is_sealed_is_kept_if_a_provider_would_take_it(data: str, iv: str, is_kept: bool) -> None:
    found = notification(f"<encrypted xmlns='{TIGASE}' iv='{iv}'>{data}</encrypted>")

    assert is_kept == (found.sealed is not None)
    assert found.is_important
    assert is_kept == (sealed_in(message(found, id_="i", content="none")) == found.sealed is not None)


def test_a_call_shows_by_what_is_around_its_encrypted_payload() -> None:
    assert notification(f"<encrypted xmlns='{TIGASE}' iv='AA==' type='voip'>AA==</encrypted>").is_call
    assert not notification(f"<encrypted xmlns='{TIGASE}' iv='AA=='>AA==</encrypted>").is_call


@pytest.mark.parametrize(
    ("told", "says_read"),
    [
        ({"message_count": "0"}, True),
        ({"message_count": "1"}, False),
        ({}, False),
        ({"message_count": "0", "pending_subscription_count": "1"}, False),
    ],
)
def test_a_count_of_nothing_says_that_all_was_read(told: dict[str, str], says_read: bool) -> None:
    assert says_read == notification(form(**told)).says_read


@pytest.mark.parametrize(
    ("text", "count"), [("7", 7), (" 7 ", 7), ("-1", None), ("many", None), ("٣", None), ("9" * 400, 100_000)]
)
def test_a_count_is_a_number_within_bounds(text: str, count: int | None) -> None:
    assert count == notification(form(message_count=text)).count


def test_a_sender_that_is_no_address_is_nobody() -> None:
    assert "" == notification(form(last_message_sender="@@", last_message_body="hi")).sender


def test_a_long_body_is_kept_as_far_as_it_can_be_shown() -> None:
    assert LONGEST_TEXT == len(notification(form(last_message_body="x" * 9000)).body)


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<other xmlns='urn:example'/>",
        "<notification xmlns='urn:xmpp:push:1'/>",
    ],
)
def test_an_item_without_a_notification_is_a_bad_request(inner: str) -> None:
    with pytest.raises(StanzaError, match="bad-request"):
        pubsub(inner)


def test_a_publish_without_a_node_is_a_bad_request() -> None:
    with pytest.raises(StanzaError, match="bad-request"):
        pubsub(f"<notification xmlns='{ns.PUSH}'/>", node="")


def test_a_form_with_two_fields_of_one_name_is_a_bad_request() -> None:
    with pytest.raises(StanzaError, match="bad-request"):
        notification(f"<x xmlns='{ns.DATA_FORMS}'>{fields()}{fields()}</x>")


@pytest.mark.parametrize("request_", ["<items node='n'/>", "<create node='n'/>", "<subscribe node='n'/>"])
def test_nothing_but_publishing_is_done_here(request_: str) -> None:
    stanza = f"<iq type='set' id='1'><pubsub xmlns='{ns.PUBSUB}'>{request_}</pubsub></iq>"
    with pytest.raises(StanzaError, match="feature-not-implemented"):
        read(peek(stanza.encode()))


def test_the_secret_shows_in_no_repr() -> None:
    assert "s3cret" not in repr(notification(behind=options("s3cret")))


@pytest.mark.parametrize(
    ("content", "told"),
    [("none", (None, None)), ("sender", ("romeo@peer.example", None)), ("body", ("romeo@peer.example", "a < b"))],
)
def test_no_more_is_kept_than_the_operator_allows(content: str, told: tuple[str | None, str | None]) -> None:
    published = notification(form(last_message_sender="romeo@peer.example/x", last_message_body="a &lt; b"))
    kept = summary(message(published, id_="i", content=content))

    assert told == (kept.sender, kept.body)
