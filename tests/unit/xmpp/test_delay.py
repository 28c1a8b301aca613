"""XEP-0203 and XEP-0082."""

from __future__ import annotations

import pytest

from gateway.xmpp.delay import delay_child, delayed_copy, has_delay_from, stamp
from gateway.xmpp.stanza import add_child
from tests.unit.xmpp.builders import a_message


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_031_701_267_123, "2002-09-10T23:41:07.123Z"),
        (1_031_701_267_000, "2002-09-10T23:41:07.000Z"),
        (1_709_164_800_001, "2024-02-29T00:00:00.001Z"),
    ],
)
def test_a_time_is_written_in_utc_to_the_millisecond(ms: int, text: str) -> None:
    assert text == stamp(ms)


def test_a_delay_names_who_held_the_stanza() -> None:
    delay = delay_child("localhost", 1_031_701_267_123)

    assert b"<delay xmlns='urn:xmpp:delay' from='localhost' stamp='2002-09-10T23:41:07.123Z'/>" == delay
    assert has_delay_from(add_child(a_message(), delay), "localhost")


@pytest.mark.parametrize(
    "message",
    [
        a_message(),
        a_message("urn:xmpp:delay"),
        add_child(a_message(), delay_child("elsewhere", 0)),
        add_child(a_message(), b"<delay xmlns='urn:xmpp:delay'/>"),
        add_child(a_message(), b"<x xmlns='urn:x'>" + delay_child("localhost", 0) + b"</x>"),
    ],
)
def test_only_a_delay_of_its_own_is_found(message: bytes) -> None:
    assert not has_delay_from(message, "localhost")


def test_one_of_several_delays_is_found() -> None:
    message = add_child(add_child(a_message(), delay_child("elsewhere", 0)), delay_child("localhost", 1))

    assert has_delay_from(message, "localhost")


def test_a_copy_has_its_delay_beside_the_forwarded_stanza() -> None:
    copy = b"<message><sent xmlns='urn:x'><forwarded xmlns='urn:xmpp:forward:0'>%b</forwarded></sent></message>"

    assert copy % b"<delay/><message/>" == delayed_copy(copy % b"<message/>", b"<delay/>")


def test_what_is_no_copy_stays_as_it_is() -> None:
    assert a_message() == delayed_copy(a_message(), b"<delay/>")
