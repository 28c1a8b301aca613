"""When a process is too busy for newcomers, and in which order those take their turns."""

import os

import gevent
import gevent.socket
import pytest
from gevent.event import Event

from gateway.limits.load import BEAT_S, LOOKS, Load
from gateway.limits.queue import LoginQueue, until_idle
from tests.limits.clock import Clock


def looks(clock: Clock, load: Load, *late: float) -> list[bool]:
    found = []
    for late_s in late:
        clock.now += BEAT_S + late_s
        load.look()
        found.append(load.is_high)
    return found


def a_load(clock: Clock, waiting: list[int] | None = None) -> Load:
    owed = waiting if waiting is not None else [0]
    load = Load(most_lag_s=1.0, most_waiting=100, waiting=lambda: owed[0], clock=clock)
    load.look()
    return load


def test_a_process_that_runs_late_for_long_is_too_busy_and_soon_is_not_any_more() -> None:
    clock = Clock()
    load = a_load(clock)

    assert [False] * LOOKS + [True] == looks(clock, load, *[0.0], *[1.5] * LOOKS)
    assert pytest.approx(1.5) == load.lag_s
    assert [True, False] == looks(clock, load, 0.6, 0.1)


def test_a_pause_of_the_machine_is_no_overload() -> None:
    clock = Clock()

    assert [False] * 3 == looks(clock, a_load(clock), 0.0, 60.0, 0.0)


def test_a_store_that_owes_too_many_answers_is_an_overload() -> None:
    clock, waiting = Clock(), [101]
    load = a_load(clock, waiting)

    assert looks(clock, load, *[0.0] * LOOKS)[-1]
    waiting[0] = 40
    assert not looks(clock, load, 0.0)[-1]


class Pace:
    """The test says when the loop rests."""

    def __init__(self) -> None:
        self.rested = Event()

    def __call__(self) -> bool:
        self.rested.wait()
        self.rested.clear()
        return False


def test_who_came_first_begins_first_and_only_when_there_is_room() -> None:
    pace, begun = Pace(), []
    queue = LoginQueue(pace)

    def come(number: int) -> None:
        if queue.wait(30):
            begun.append(number)

    comers = [gevent.spawn(come, number) for number in range(3)]
    gevent.sleep(0)
    seen = []
    for _ in comers:
        pace.rested.set()
        gevent.idle()
        seen.append(list(begun))
    gevent.joinall(comers, timeout=5)

    assert [[0], [0, 1], [0, 1, 2]] == seen
    assert 0 == len(queue)


def test_whoever_would_wait_too_long_leaves_the_queue() -> None:
    pace = Pace()
    queue = LoginQueue(pace)
    patient = gevent.spawn(queue.wait, 30)

    hasty = queue.wait(0.01)
    pace.rested.set()

    assert not hasty
    assert patient.get(timeout=5)


def test_a_process_at_rest_begins_at_once() -> None:
    assert LoginQueue().wait(5)
    assert until_idle()


def test_a_process_that_is_never_at_rest_begins_one_now_and_then_nevertheless() -> None:
    stopped = Event()

    def work() -> None:
        reading, writing = os.pipe()
        os.write(writing, b"x")
        while not stopped.is_set():
            gevent.socket.wait_read(reading)  # is there at once, and always: the loop has something to do
        os.close(reading)
        os.close(writing)

    worker = gevent.spawn(work)
    gevent.sleep(0)
    began = LoginQueue().wait(10)
    stopped.set()
    worker.join(5)

    assert began
