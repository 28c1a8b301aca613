"""When an unanswered <r/> becomes overdue."""

from __future__ import annotations

from typing import Any

from gateway.mailbox.settings import SmacksSettings
from gateway.session.rhythm import Rhythm


class Asked:
    """As much of a cursor as the clock looks at: an <r/> was written at 100 s."""

    def __init__(self, *, is_inactive: bool) -> None:
        self.is_inactive = is_inactive
        self.is_overdue = False
        self.asked_at = 100.0

    def overdue(self) -> None:
        self.is_overdue = True


def at(rhythm: Rhythm, now: float) -> None:
    rhythm._find_overdue(rhythm._outstanding, now, rhythm._ack_delay_s)
    rhythm._find_overdue(rhythm._outstanding_inactive, now, rhythm._inactive_ack_delay_s)


def asked(rhythm: Rhythm, *, is_inactive: bool) -> Any:
    cursor: Any = Asked(is_inactive=is_inactive)
    rhythm.asked(cursor)
    return cursor


def test_an_inactive_client_has_less_time() -> None:
    rhythm = Rhythm(SmacksSettings(smacks_max_ack_delay=30), inactive_ack_delay_s=5.0)
    active, inactive = asked(rhythm, is_inactive=False), asked(rhythm, is_inactive=True)
    seen = []
    for now in (104.9, 105.0, 129.9, 130.0):
        at(rhythm, now)
        seen.append((active.is_overdue, inactive.is_overdue))

    assert [(False, False), (False, True), (False, True), (True, True)] == seen


def test_what_a_client_says_counts_for_the_request_that_is_outstanding() -> None:
    rhythm = Rhythm(SmacksSettings(smacks_max_ack_delay=30), inactive_ack_delay_s=5.0)
    cursor = asked(rhythm, is_inactive=False)
    cursor.is_inactive = True
    rhythm.state_changed(cursor)
    at(rhythm, 106.0)

    assert cursor.is_overdue


def test_an_inactive_client_never_has_more_time() -> None:
    rhythm = Rhythm(SmacksSettings(smacks_max_ack_delay=3), inactive_ack_delay_s=5.0)
    cursor = asked(rhythm, is_inactive=True)
    at(rhythm, 103.0)

    assert cursor.is_overdue
