"""Who takes turns while much waits for the store."""

from collections.abc import Callable
from functools import partial

import gevent

from gateway.mailbox.pressure import BUSY, MANY, MOST_BYTES, Pressure

LONG_S = 30.0


def busy() -> Pressure:
    """Of a store that has something to do for a while, and somebody waits for it who sends little."""
    pressure = Pressure()
    asks(pressure, BUSY + 1)
    pressure.came_from_few()
    return pressure


def idle(pressure: Pressure) -> None:
    """It has answered all of it."""
    for _ in range(pressure.waiting):
        pressure.answered(100)
    pressure.heard()


def those_who_wait(pressure: Pressure, *then: Callable[[], object]) -> tuple[list[int], list[gevent.Greenlet]]:
    """Each waits for a turn and then does something; the numbers of those who had theirs, in order."""
    had: list[int] = []

    def wait(number: int, do: Callable[[], object]) -> None:
        pressure.wait_for_turn(LONG_S)
        had.append(number)
        do()

    waiting = [gevent.spawn(wait, number, do) for number, do in enumerate(then)]
    gevent.sleep(0.01)
    return had, waiting


def asks(pressure: Pressure, count: int) -> None:
    for _ in range(count):
        pressure.asked(100)


def test_turns_come_in_order_until_the_store_is_busy_again() -> None:
    pressure = busy()
    before, waiting = those_who_wait(pressure, *[partial(asks, pressure, BUSY // 2 + 1)] * 5)
    found = list(before)
    idle(pressure)
    gevent.sleep(0.01)
    first = list(before)
    idle(pressure)
    gevent.sleep(0.01)
    second = list(before)
    idle(pressure)
    gevent.joinall(waiting, timeout=LONG_S)

    assert [] == found
    assert [0, 1] == first
    assert [0, 1, 2, 3] == second
    assert [0, 1, 2, 3, 4] == before


def test_who_has_nothing_to_say_passes_the_turn_on() -> None:
    pressure = busy()
    had, waiting = those_who_wait(pressure, *[bool] * 50)
    idle(pressure)
    gevent.joinall(waiting, timeout=1)

    assert list(range(50)) == had


def test_who_gave_up_or_went_away_takes_no_turn() -> None:
    pressure = busy()
    had, (gone, stays) = those_who_wait(pressure, bool, bool)
    pressure.wait_for_turn(0.01)
    gone.kill()
    idle(pressure)
    stays.join(timeout=1)

    assert [1] == had


def test_as_long_as_nobody_sends_little_there_are_no_turns_until_much_more_waits() -> None:
    pressure = Pressure()
    asks(pressure, MANY)
    found = [pressure.goes_by_turns]
    asks(pressure, 1)
    found.append(pressure.goes_by_turns)
    idle(pressure)
    found.append(pressure.goes_by_turns)
    asks(pressure, BUSY + 1)
    pressure.came_from_few()
    found.append(pressure.goes_by_turns)

    assert [False, True, False, True] == found


def test_a_few_large_operations_are_no_calm() -> None:
    pressure = Pressure()
    found = [pressure.is_calm]
    pressure.asked(MOST_BYTES + 1)
    found += [pressure.is_calm, pressure.is_crowded]
    pressure.answered(MOST_BYTES + 1)
    found.append(pressure.is_calm)
    asks(pressure, BUSY + 1)
    found += [pressure.is_calm, pressure.is_crowded]

    assert [True, False, True, True, False, False] == found
