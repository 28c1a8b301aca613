"""SIGTERM to a gateway whose clients do not cooperate: it ends in time, in good order, and every session sleeps."""

import time
from pathlib import Path

import pytest

from tests.hostile.raw import HEADER, Stranger
from tests.support.phone import Phone, online, sm
from tests.support.pieces import Pieces, pieces

MOST_S = 20.0
"""DRAIN_S, and what the last words of a connection may take"""


def stop_gateway(house: Pieces) -> tuple[int, float]:
    """SIGTERM; answers the exit status and how long it took (s)."""
    process, started = house._running["gateway"], time.monotonic()
    process.terminate()
    status = process.wait(MOST_S + 10)
    return status, time.monotonic() - started


def test_a_stop_puts_every_session_to_sleep_and_tells_the_last_count(tmp_path: Path) -> None:
    with pieces(tmp_path) as house:
        phone, frozen, plain = (online(house, house.account()) for _ in range(3))
        handled = phone.handled()
        phone.message(frozen.account.jid, "kept")
        stranger = Stranger(house).send(HEADER)
        stranger.until(b"</stream:features>")

        status, took = stop_gateway(house)
        last = phone.skip_to(sm("a"), sm("r"))
        stranger.close()
        states = [house.session(one.account.jid, one.session_id)["state"] for one in (phone, frozen, plain)]
        house.launch("gateway")
        again = Phone(house, phone.account)
        resumed = again.resume(phone.session_id, phone.inbound)

        assert (0, True) == (status, took < MOST_S)
        assert ["asleep"] * 3 == states
        assert str(handled + 1) == last.get("h") == resumed.get("h")


@pytest.mark.slow
def test_a_stop_while_the_store_is_away_ends_in_time_and_loses_nothing(tmp_path: Path) -> None:
    with pieces(tmp_path, commands=("sweeper",), settings={"redis": {"timeout_s": 2.0}}) as house:
        phone, friend = online(house, house.account()), online(house, house.account())
        handled = phone.handled()

        house.freeze_redis()
        phone.message(friend.account.jid, "never acknowledged", "m1")
        status, took = stop_gateway(house)
        house.freeze_redis(frozen=False)
        house.launch("gateway")
        again = Phone(house, phone.account)
        resumed = again.resume(phone.session_id, phone.inbound)
        if int(resumed.get("h", "")) == handled:  # as a client does
            again.message(friend.account.jid, "never acknowledged", "m1")
        friend_again = Phone(house, friend.account)
        friend_again.resume(friend.session_id, friend.inbound)

        assert (0, True) == (status, took < MOST_S)
        assert ["never acknowledged"] == friend_again.bodies(1)
