"""Archive ids: one spelling each, and the order of time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mailbox.archive_ids import LATEST, first_of, ms_of, to_number, to_text

NUMBERS = st.integers(0, LATEST)


@given(NUMBERS, NUMBERS)
def test_ids_are_ordered_as_their_numbers_are(a: int, b: int) -> None:
    def parts(number: int) -> tuple[int, ...]:
        return tuple(int(part) for part in to_text(number).split("-"))

    assert (a < b) == (parts(a) < parts(b))
    assert a == to_number(to_text(a))
    assert first_of(ms_of(a)) <= a


@given(st.text(max_size=30))
def test_another_spelling_is_no_id(text: str) -> None:
    number = to_number(text)

    assert number is None or text == to_text(number)


@pytest.mark.parametrize(
    "text", ["01-0", "1-00", "1", "1-", "-1", "1-1048576", "8796093022208-0", "\uff11-0", "1-0 ", "+1-0"]
)
def test_what_no_archive_gave_is_no_id(text: str) -> None:
    assert None is to_number(text)


def test_times_out_of_range_are_brought_into_it() -> None:
    assert (0, LATEST >> 20 << 20) == (first_of(-5), first_of(10**15))
