"""Gateways side by side on one port: one is restarted, paused, or hears no notices, and nobody is harmed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import psutil
import pytest

from gateway.cli.store import connect
from gateway.demo.stream import STREAM_ERROR, StreamEnded, condition_of
from gateway.mailbox.membership import Membership, NodeNameTaken, members
from gateway.session.tails import TAILS_S
from tests.nodes.house import House, a_house
from tests.scenarios.sleepers import enable
from tests.support.phone import Phone
from tests.support.pieces import eventually

LEASE_S = 3
SLOW_S = 15.0
"""what a busy machine may add"""

LOCATION = "xmpp1.example.org:5222"
MORE = (
    f"[push]\noffered_grace = 3600\n[smacks]\nlocation = '{LOCATION}'\n[nodes]\nlease = {LEASE_S}\ndrain_rate = 1000\n"
)
NEW_APP = "[push.apps.new]\nprovider = 'fcm'\nservice_account_file = 'none'\n"
ELSEWHERE = ["xmpp2.example.org:5222", "[2001:db8::3]:5222"]
SLOWLY = 10
"""sessions a second"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with a_house(tmp_path_factory.mktemp("nodes"), workers=("sweeper",), more=MORE) as made:
        yield made


def last_words(phone: Phone) -> str:
    """Reads to the end of a stream: the condition of its error, or "" if it ended without one."""
    condition = ""
    try:
        while True:
            element = phone.next(60)
            if element.tag == STREAM_ERROR:
                condition = condition_of(element)
    except StreamEnded:
        return condition


def test_the_kernel_gives_each_gateway_a_share_of_the_connections(house: House) -> None:
    raw = [gevent.socket.create_connection(("127.0.0.1", house.port)) for _ in range(40)]
    taken = {child.pid: 0 for child in house.gateways}

    def count() -> int:
        for pid in taken:
            taken[pid] = sum(one.status == "ESTABLISHED" for one in psutil.Process(pid).net_connections("tcp"))
        return sum(taken.values())

    eventually(lambda: count() >= 40, "all connections to be accepted")
    for one in raw:
        one.close()

    assert 5 < min(taken.values())


def test_without_any_notice_everything_arrives_with_the_next_look_at_tails(house: House) -> None:
    phone, friend = house.one_at_each()
    with house.store as store:
        store.execute_command("ACL", "SETUSER", "default", "-subscribe")
        store.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        sent = time.monotonic()
        for number in range(3):
            friend.message(phone.jid, f"unheard {number}")
        found = phone.bodies(3)
        took_s = time.monotonic() - sent
        store.execute_command("ACL", "SETUSER", "default", "+subscribe")
        eventually(lambda: store.execute_command("PUBSUB", "CHANNELS") != [], "notices to be heard again")

    assert [f"unheard {number}" for number in range(3)] == found
    assert took_s < TAILS_S + SLOW_S


def test_a_gateway_that_was_paused_finds_its_sessions_gone_and_does_no_harm(house: House) -> None:
    phone, friend = house.one_at_each()
    friend.message(phone.jid, "one")
    first = phone.bodies(1)
    paused = house.gateway_of(phone)
    house.signal(paused, signal.SIGSTOP)
    try:
        friend.message(phone.jid, "two")
        house.wait_asleep(phone)  # its lease has lapsed
        again = _connected(house, phone)
        friend.message(phone.jid, "three")
        found = again.bodies(2)
        phone.message(friend.jid, "said to nobody")  # taken by the socket of the paused one
    finally:
        house.signal(paused, signal.SIGCONT)
    gone = last_words(phone)
    again.ack()
    again.message(friend.jid, "said")

    assert (["one"], ["two", "three"]) == (first, found)
    assert "conflict" == gone
    assert ["said"] == friend.bodies(1)
    assert paused.pid != 0


def _connected(house: House, phone: Phone) -> Phone:
    """Back with a gateway that runs: a connection that the kernel gave a paused one hangs, to a dead one is reset."""
    deadline = time.monotonic() + 2 * SLOW_S
    while time.monotonic() < deadline:
        try:
            with gevent.Timeout(1.0):
                return house.back(phone)
        except (gevent.Timeout, StreamEnded):
            gevent.sleep(0.02)
    raise AssertionError("no gateway took the phone back")


def test_a_renewed_certificate_is_used_without_a_restart(house: House) -> None:
    phone = house.phones(1)[0]
    pids = [child.pid for child in house.gateways]
    before = {_certificate(house) for _ in range(8)}
    for file in (house.data / "tls").iterdir():
        file.unlink()  # where no certificate is configured, a new one is made
    house.supervisor.reload()
    eventually(lambda: house.log().count("configuration_reloaded") == 2, "both gateways to reload")
    after = {_certificate(house) for _ in range(8)}
    phone.round_trip()

    assert (1, 1, set()) == (len(before), len(after), before & after)
    assert pids == [child.pid for child in house.gateways]


def _certificate(house: House) -> bytes:
    phone = Phone(house, house.account())
    certificate: bytes = phone.stream._sock.getpeercert(True)
    phone.cut()
    return certificate


def test_a_gateway_that_stops_lets_its_clients_go_in_waves_and_says_where_to(house: House) -> None:
    house.write(MORE.replace("drain_rate = 1000", f"drain_rate = {SLOWLY}\nsee_other_host = {ELSEWHERE}"))
    house.supervisor.reload()
    eventually(lambda: house.log().count(f"configuration_reloaded drain_rate={SLOWLY}") == 2, "both to reload")
    leaving = house.gateways[0]
    phones = house.phones(16)
    mine = [phone for phone in phones if house.gateway_of(phone) is leaving]
    leaving.send_signal(signal.SIGTERM)
    ends = gevent.joinall([gevent.spawn(_last_error, phone) for phone in mine], timeout=60)
    times, hosts = zip(*sorted(one.value for one in ends), strict=True)
    took_s = times[-1] - times[0]
    house.write(MORE)
    eventually(lambda: leaving.is_ready and leaving.restarts == 1, "the gateway to be back", 60)
    house.supervisor.reload()
    back = [house.back(phone) for phone in mine]

    assert {*ELSEWHERE} == {*hosts}
    assert took_s > (len(mine) - 2) / SLOWLY
    assert len(mine) == len(back)


def _last_error(phone: Phone) -> tuple[float, str]:
    """When a stream ended with see-other-host, and which host that names."""
    error = phone.stream_error()
    host = error.findtext("{urn:ietf:params:xml:ns:xmpp-streams}see-other-host") or condition_of(error)
    return time.monotonic(), host


def test_a_reload_lets_clients_register_for_an_app_that_is_new_and_a_fault_changes_nothing(house: House) -> None:
    phone = house.phones(1)[0]
    before = enable(phone, app="new")
    house.write(f"[nodes]\nlease = 'soon'\n{NEW_APP}")
    house.supervisor.reload()
    eventually(lambda: house.log().count("configuration_not_reloaded") == 2, "both to refuse")
    while_faulty = enable(phone, app="new")
    reloads = house.log().count("configuration_reloaded")
    house.write(f"{MORE}{NEW_APP}")
    house.supervisor.reload()
    eventually(lambda: house.log().count("configuration_reloaded") == reloads + 2, "both to reload")

    assert ("item-not-found", "item-not-found", "") == (before, while_faulty, enable(phone, app="new"))


def test_a_client_is_told_where_to_resume_first(house: House) -> None:
    phone = Phone(house, house.account()).bind()

    assert LOCATION == phone.enable().get("location")


def test_in_a_rolling_restart_every_client_resumes_and_no_phone_is_woken(house: House) -> None:
    phones = house.phones(6, register=True)
    friend, plain = house.phones(1)[0], Phone(house, house.account()).bind().available()
    nodes = [house.node(child) for child in house.gateways]
    phones[0].message(phones[1].jid, "read, not acknowledged")
    phones[1].bodies(1)
    restarting = gevent.spawn(house.supervisor.restart, lambda _: None)
    words = [last_words(phone) for phone in (*phones, friend)]
    told = last_words(plain)
    restarting.get(timeout=120)
    assert not set(nodes) & {house.node(child) for child in house.gateways}
    events = [house.events(phone) for phone in phones]
    friend = house.back(friend)
    for number, phone in enumerate(phones[2:]):
        friend.message(phone.jid, f"number {number}")
    friend.round_trip()
    back = [house.back(phone) for phone in phones]
    found = [phone.bodies(1) for phone in back[2:]]

    assert [""] * 7 == words
    assert "system-shutdown" == told
    assert [0] * 6 == events
    assert [[f"number {number}"] for number in range(4)] == found


def test_a_second_gateway_with_the_same_name_is_refused(house: House) -> None:
    with connect(house.settings) as journal:
        for gateway in house.gateways:
            with pytest.raises(NodeNameTaken, match="is running"):
                Membership(journal, house.node(gateway), heartbeat_s=LEASE_S / 5).join()
        Membership(journal, "nobody has it", heartbeat_s=LEASE_S / 5).join()


def test_two_builds_with_different_functions_serve_side_by_side(house: House, tmp_path: Path) -> None:
    phone, friend = house.one_at_each()
    with house.another_build(tmp_path) as other, connect(house.settings) as journal:
        libraries = {members(journal)[node].library for node in (other, house.node(house.gateways[0]))}
        loaded = {one[1].decode() for one in journal.call("FUNCTION", "LIST")}
        there = _moved(house, phone, lambda node: node == other)
        friend.message(phone.jid, "to the other build")
        there.message(friend.jid, "from the other build")
        found = there.bodies(1) + friend.bodies(1)
        here = _moved(house, there, lambda node: node != other)
        friend.message(phone.jid, "and back")
        found += here.bodies(1)

    assert ["to the other build", "from the other build", "and back"] == found
    assert (2, True) == (len(libraries), libraries <= loaded)


def _moved(house: House, phone: Phone, fits: Callable[[str], bool]) -> Phone:
    """Resumes until the kernel gave the phone to a gateway that fits."""
    for _ in range(100):
        phone.ack()
        phone.stream.cut(reset=False)
        phone = _connected(house, phone)
        if fits(house.session(phone)["node"]):
            return phone
    raise AssertionError("the kernel never chose it")
