"""XEP-0082: DateTime, read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.xmpp.date_time import NotADateTime, read_ms
from gateway.xmpp.delay import stamp


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", (0, True)),
        ("1969-07-21T02:56:15Z", (-14159025000, True)),
        ("1969-07-20T21:56:15-05:00", (-14159025000, True)),
        ("1970-01-01T02:30:00+02:30", (0, True)),
        ("1970-01-01T00:00:01.5Z", (1500, True)),
        ("1970-01-01T00:00:01.123456Z", (1123, False)),
        ("1970-01-01T00:00:01.123000Z", (1123, True)),
        ("2016-12-31T23:59:60Z", (1483228800000, True)),
        (" 1970-01-01T00:00:00Z\n", (0, True)),
    ],
)
def test_times_are_read(text: str, expected: tuple[int, bool]) -> None:
    assert expected == read_ms(text)


@pytest.mark.parametrize(
    "text",
    ["", "now", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01 00:00:00Z", "1970-13-01T00:00:00Z",
     "1970-02-30T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z", "1970-01-01T00:00:61Z",
     "1970-01-01T00:00:00.Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "٢٠٠٢-09-10T23:08:25Z",
     "0000-01-01T00:00:00Z", "1970-01-01T00:00:00+1:00", f"1970-01-01T00:00:00.{'1' * 50}Z"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(NotADateTime):
        read_ms(text)


@given(st.integers(0, 253402300799999))
def test_what_is_written_is_read_again(ms: int) -> None:
    assert (ms, True) == read_ms(stamp(ms))
