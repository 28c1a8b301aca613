"""When a node is dead, and when it is not."""

from __future__ import annotations

from gateway.mailbox.node_settings import NodesSettings
from workers.sweeper.leases import Leases


def looks(leases: Leases, heartbeats: list[int], *, at: float = 0.0, step_s: float = 1.0) -> list[bool]:
    """One look after the other; whether the node was dead each time."""
    return [bool(leases.look({"n1": count}, at + step_s * number)) for number, count in enumerate(heartbeats)]


def test_a_node_whose_heartbeats_stand_still_for_the_lease_is_dead() -> None:
    found = looks(Leases(3.0), [7, 7, 7, 7])

    assert [False, False, False, True] == found


def test_a_slow_node_that_still_beats_is_not_dead() -> None:
    found = looks(Leases(3.0), [1, 1, 1, 2, 2, 2, 3, 3, 3])

    assert not any(found)


def test_a_number_that_starts_again_is_a_sign_of_life() -> None:
    found = looks(Leases(3.0), [90, 90, 90, 1, 1, 1])

    assert not any(found)


def test_time_in_which_this_process_did_not_look_counts_for_one_step_only() -> None:
    found = looks(Leases(NodesSettings().lease), [7, 7, 7, 7], step_s=3600)

    assert not any(found)


def test_after_an_outage_every_node_has_its_whole_lease_again() -> None:
    leases = Leases(3.0)
    looks(leases, [7, 7, 7])
    leases.restart()

    assert [False, False, False, True] == looks(leases, [7, 7, 7, 7], at=100)


def test_a_node_that_left_and_came_back_is_new() -> None:
    leases = Leases(3.0)
    looks(leases, [7, 7, 7])
    leases.look({}, 3.0)

    assert [False, False] == looks(leases, [7, 7], at=4)


def test_each_node_has_its_own_lease() -> None:
    leases = Leases(3.0)
    found = [leases.look({"dead": 5, "alive": number}, float(number)) for number in range(5)]

    assert [frozenset(), frozenset(), frozenset(), {"dead"}, {"dead"}] == found
