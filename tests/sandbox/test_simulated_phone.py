"""From the message to the phone and back: pushes wake it in time, for something, and not again once it was there.

Real processes all the way: gateway, push worker, sandbox; only the phone is simulated (tests/support).
"""

from collections.abc import Iterator

import gevent
import pytest

from gateway.demo.client import Client
from tests.support.processes import Server, running
from tests.support.sandbox import WITH_SANDBOX
from tests.support.sandbox_control import SandboxControl
from tests.support.simulated_phone import Platform, SimulatedPhone, simulated_phone

FLOOR_S = 2
ACK_DELAY_S = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "push": {"floor": FLOOR_S, "offered_grace": 1},
        "smacks": {"smacks_max_ack_delay": ACK_DELAY_S},
    }
    with running(tmp_path_factory.mktemp("phone"), arguments=WITH_SANDBOX, settings=settings) as server:
        server.stock_accounts(20)
        yield server


@pytest.fixture
def friend(server: Server) -> Iterator[Client]:
    client = server.client(server.account()).login()
    yield client
    client.cut()


def write(friend: Client, phone: SimulatedPhone, *texts: str) -> None:
    for text in texts:
        friend.send_message(phone.account.jid, text)
    friend.wait_accepted()


@pytest.mark.parametrize("platform", ["ios", "android"])
def test_a_burst_wakes_a_phone_once_and_each_message_is_seen_once(
    server: Server, friend: Client, platform: Platform
) -> None:
    with simulated_phone(server, server.account(), platform, reaction_s=1.0) as phone:
        write(friend, phone, "one", "two", "three")
        phone.wait(lambda counts: len(counts.wakes) == 1, "the wake-up")
        # Messages two and three asked for a trailing push; it is due now, and the phone was there meanwhile.
        gevent.sleep(FLOOR_S + 1.5)
        write(friend, phone, "four")
        phone.wait(lambda counts: len(counts.wakes) == 2, "the second wake-up")

        assert [("one", "two", "three"), ("four",)] == [wake.fetched for wake in phone.counts.wakes]
        assert ["one", "two", "three", "four"] == phone.bodies
        assert [True, True] == [wake.resumed for wake in phone.counts.wakes]
        assert (0, 0, 0, []) == (phone.counts.empty, phone.counts.late, phone.counts.needless, phone.counts.failed)
        assert 2 == len(SandboxControl.of(server).pushes(token=phone.token))


def test_a_phone_in_doze_is_woken_for_a_message(server: Server, friend: Client) -> None:
    with simulated_phone(server, server.account(), "android", dozes=True) as phone:
        write(friend, phone, "wake up")
        phone.wait(lambda counts: len(counts.wakes) == 1, "the wake-up")

        assert [("wake up",)] == [wake.fetched for wake in phone.counts.wakes]


@pytest.mark.parametrize("platform", ["ios", "android"])
def test_a_phone_that_was_switched_off_gets_one_push_and_all_messages(
    server: Server, friend: Client, platform: Platform
) -> None:
    with simulated_phone(server, server.account(), platform) as phone:
        phone.switch_off()
        for number in range(3):
            write(friend, phone, f"message {number}")
            gevent.sleep(FLOOR_S + 0.3)
        events = [line["event"] for line in SandboxControl.of(server).deliveries(token=phone.token)]
        phone.switch_on()
        phone.wait(lambda counts: len(counts.wakes) == 1, "the wake-up")

        assert "delivered" not in events
        assert events.count("stored") > events.count("replaced")
        assert [("message 0", "message 1", "message 2")] == [wake.fetched for wake in phone.counts.wakes]


def test_a_phone_that_comes_back_by_itself_is_not_pushed_for_what_it_saw(server: Server, friend: Client) -> None:
    with simulated_phone(server, server.account(), "ios") as phone:
        phone.open()
        phone.client.freeze()
        write(friend, phone, "in the tunnel")
        gevent.sleep(ACK_DELAY_S / 3)
        phone.client.thaw()
        phone.client.wait_messages(1)
        phone.client.send_ack()
        gevent.sleep(ACK_DELAY_S + 1)

        assert ["in the tunnel"] == phone.bodies
        assert [] == SandboxControl.of(server).pushes(token=phone.token)


def test_a_link_that_fell_silent_is_pushed_past(server: Server, friend: Client) -> None:
    """The other side of the test above: without the acknowledgement the push comes."""
    with simulated_phone(server, server.account(), "ios") as phone:
        phone.open()
        phone.client.freeze()
        write(friend, phone, "in the tunnel")
        phone.wait(lambda counts: counts.needless == 1, "the push to a phone that seems to be connected")

        assert 1 == len(SandboxControl.of(server).pushes(token=phone.token))


def test_an_expired_session_is_not_resumed_and_nothing_is_lost(server: Server, friend: Client) -> None:
    with simulated_phone(server, server.account(), "android") as phone:
        phone.client.session_id = "not a session of anybody"
        write(friend, phone, "hello")
        phone.wait(lambda counts: len(counts.wakes) == 1, "the wake-up")

        assert [False] == [wake.resumed for wake in phone.counts.wakes]
        assert ["hello"] == phone.bodies
