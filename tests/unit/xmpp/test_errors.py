"""RFC 6120 §4.9, §6.5, §8.3."""

from __future__ import annotations

import pytest

from gateway.xmpp.errors import (
    USUAL_TYPE,
    ErrorType,
    SaslCondition,
    SaslFailure,
    SeeOtherHost,
    StanzaCondition,
    StanzaError,
    StreamCondition,
    StreamError,
    blocked_by_you,
    handled_count_too_high,
    memory_full,
    roster_full,
    store_away,
)


def test_a_stream_error_is_written_as_the_rfc_shows() -> None:
    error = StreamError(StreamCondition.NOT_WELL_FORMED, "a < b", extra=b"<x xmlns='urn:x'/>")

    assert (
        b"<stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>a &lt; b</text>"
        b"<x xmlns='urn:x'/></stream:error>"
    ) == error.to_bytes()
    assert "not-well-formed: a < b" == str(error)


def test_a_stanza_error_has_the_type_its_condition_usually_has() -> None:
    error = StanzaError(StanzaCondition.ITEM_NOT_FOUND)

    assert (
        b"<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    ) == error.to_bytes()
    assert "item-not-found" == str(error)


def test_a_stanza_error_may_have_another_type() -> None:
    error = StanzaError(StanzaCondition.POLICY_VIOLATION, "slower", type=ErrorType.WAIT)

    assert error.to_bytes().startswith(b"<error type='wait'>")


@pytest.mark.parametrize("condition", list(StanzaCondition))
def test_every_condition_has_a_usual_type(condition: StanzaCondition) -> None:
    assert condition in USUAL_TYPE


@pytest.mark.parametrize(
    ("text", "inner"), [("", b""), ("no", b"<text xml:lang='en'>no</text>")]
)  # fmt: skip
def test_a_sasl_failure_is_written_as_the_rfc_shows(text: str, inner: bytes) -> None:
    failure = SaslFailure(SaslCondition.NOT_AUTHORIZED, text)

    expected = b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/>%b</failure>" % inner
    assert expected == failure.to_bytes()
    assert str(failure).startswith("not-authorized")


def test_a_count_too_high_tells_both_counts() -> None:
    error = handled_count_too_high(10, 8)

    assert b"<undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" in error.to_bytes()
    assert b"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='8'/>" in error.to_bytes()


@pytest.mark.parametrize("error", [StreamError, StanzaError, SaslFailure])
def test_an_error_of_the_peer_is_counted_and_alerts_nobody(error: type[StreamError]) -> None:
    assert error.metric
    assert not error.alert


def test_whoever_writes_to_somebody_he_blocks_is_told_why() -> None:
    error = blocked_by_you().to_bytes()

    assert b"<error type='cancel'><not-acceptable " in error
    assert b"<blocked xmlns='urn:xmpp:blocking:errors'/>" in error


def test_a_full_roster_asks_to_wait() -> None:
    assert b"<error type='wait'><resource-constraint " in roster_full().to_bytes()


def test_a_client_is_told_where_to_go_on() -> None:
    found = SeeOtherHost("chat.example:5222 <&>").to_bytes()

    assert (
        b"<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>chat.example:5222 &lt;&amp;&gt;"
        b"</see-other-host></stream:error>"
    ) == found


def test_who_finds_no_room_may_try_again_and_whose_store_is_away_may_resume() -> None:
    assert b"<error type='wait'><resource-constraint " in memory_full().to_bytes()
    assert StreamCondition.INTERNAL_SERVER_ERROR == store_away().condition
