"""XEP-0198 §4."""

from __future__ import annotations

import pytest

from gateway.xmpp import counter
from gateway.xmpp.errors import StreamCondition, StreamError

LAST = 2**32 - 1


@pytest.mark.parametrize(("text", "h"), [("0", 0), ("7", 7), ("007", 7), ("4294967295", LAST)])
def test_h_is_an_unsigned_int(text: str, h: int) -> None:
    assert h == counter.parse_h(text)


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "-1", "+1", "1.0", "4294967296", "9" * 400, "\u0661", "0x1", "1\n", "one"]
)
def test_what_is_no_unsigned_int_is_invalid(text: str) -> None:
    with pytest.raises(StreamError) as caught:
        counter.parse_h(text)

    assert StreamCondition.INVALID_XML == caught.value.condition


@pytest.mark.parametrize(
    ("h", "acked", "sent", "newly"),
    [
        (0, 0, 0, 0),
        (3, 0, 5, 3),
        (5, 5, 5, 0),
        (0, LAST, LAST + 1, 1),
        (1, LAST - 1, LAST + 3, 3),
        (LAST, LAST - 1, LAST + 3, 1),
        (4, 3 * 2**32 + 2, 3 * 2**32 + 9, 2),
    ],
)
def test_acknowledged_stanzas_are_counted_across_the_wrap(h: int, acked: int, sent: int, newly: int) -> None:
    assert newly == counter.handled(h, acked, sent)
    assert acked + newly == counter.absolute(h, acked, sent)


@pytest.mark.parametrize(("h", "acked", "sent"), [(1, 0, 0), (6, 0, 5), (2, 3, 5), (LAST, LAST + 1, LAST + 5)])
def test_more_than_was_sent_and_less_than_before_end_the_stream(h: int, acked: int, sent: int) -> None:
    with pytest.raises(StreamError) as caught:
        counter.handled(h, acked, sent)

    assert StreamCondition.UNDEFINED_CONDITION == caught.value.condition
    expected = f"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='{h}' send-count='{sent % 2**32}'/>"
    assert expected.encode() == caught.value.extra


def test_a_count_wraps_on_the_wire() -> None:
    assert (LAST, 0, 1) == (counter.wire(LAST), counter.wire(LAST + 1), counter.wire(LAST + 2))
    assert 3 == counter.distance(1, LAST - 1)
