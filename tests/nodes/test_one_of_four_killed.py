"""One of four gateways is killed: how soon can all its clients resume elsewhere, and how soon are their phones woken?

By hand, as it takes minutes: WAKEGATE_NODES_SESSIONS=2000 python -m pytest -s tests/nodes/test_one_of_four_killed.py
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import gevent
import pytest
from gevent.pool import Pool

from gateway.demo.stream import StreamEnded
from tests.nodes.house import House, a_house
from tests.support.phone import Phone
from tests.support.pieces import eventually

SESSIONS = int(os.environ.get("WAKEGATE_NODES_SESSIONS", "0"))
REGISTERED = 10
"""one in so many has push, and a message that it has not acknowledged"""
AT_ONCE = 50
WITHIN_S = 5.0
LEASE_S = 10.0

pytestmark = pytest.mark.skipif(not SESSIONS, reason="WAKEGATE_NODES_SESSIONS says how many")


def a_crowd(house: House) -> list[Phone]:
    accounts = house.accounts(SESSIONS)

    def phone(number: int) -> Phone:
        return house.phone(accounts[number], register=number % REGISTERED == 0)

    return list(Pool(AT_ONCE).imap(phone, range(SESSIONS)))


def tell(phones: list[Phone]) -> None:
    """An important message for each, which it reads and does not acknowledge."""
    for phone in phones:
        phone.message(phone.account.jid, "important")
        phone.bodies(1)


@pytest.mark.parametrize("supervised", [True, False], ids=["told by the supervisor", "by its lease"])
def test_all_can_resume_within_seconds_and_phones_are_woken(tmp_path: Path, *, supervised: bool) -> None:
    more = f"[nodes]\nlease = {LEASE_S}\n[push]\noffered_grace = 3600\n"
    with a_house(tmp_path, gateways=4, workers=("sweeper",), more=more, supervised=supervised) as house:
        phones = a_crowd(house)
        at = {phone: house.gateway_of(phone) for phone in phones}
        shares = {child: [phone for phone in phones if at[phone] is child] for child in house.gateways}
        victim = max(shares, key=lambda child: len(shares[child]))
        lost = shares[victim]
        registered = [phone for phone in phones[::REGISTERED] if phone in lost]
        tell(registered)
        print(f"\nsessions: {[len(share) for share in shares.values()]}; {len(lost)} lose their gateway")
        started = time.monotonic()
        victim.send_signal(signal.SIGKILL)
        woken_s = seconds_until(started, lambda: all(house.events(phone) for phone in registered))
        asleep_s = seconds_until(started, lambda: all(house.sleeps(phone) for phone in lost))
        print(f"{len(registered)} phones woken after {woken_s:.2f} s, all sessions asleep after {asleep_s:.2f} s")
        took = resumed(house, lost)

        assert woken_s < (WITHIN_S if supervised else LEASE_S + WITHIN_S)
        assert max(took) < WITHIN_S


def seconds_until(started: float, condition: object) -> float:
    eventually(condition, "the gateway's sessions to be looked after", 60)
    return time.monotonic() - started


def resumed(house: House, phones: list[Phone]) -> list[float]:
    """All come back as fast as this one process of clients can; seconds of each from its first try."""

    def back(phone: Phone) -> float:
        started = time.monotonic()
        while True:
            try:
                house.back(phone)
            except StreamEnded:
                gevent.sleep(0.05)
            else:
                return time.monotonic() - started

    began = time.monotonic()
    took = sorted(Pool(AT_ONCE).map(back, phones))
    print(
        f"{len(took)} resumed in {time.monotonic() - began:.2f} s, {AT_ONCE} at a time; each in "
        f"{took[len(took) // 2]:.2f} s (median), {took[int(len(took) * 0.99)]:.2f} s (99 %)"
    )
    return took
