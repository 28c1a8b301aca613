"""Devices of other servers' users: registered, published to, pushed, forgotten; and none is taken for an account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.mailbox import keys
from gateway.mailbox.devices import Device, Devices, Limits, TooMany
from gateway.mailbox.pushes import Cancelled, Registration, Send
from tests.mailbox.world import World, a_message, a_world

SERVICE = "push.example"
OWNER = "juliet@other.example"
TEXT = b"<message from='romeo@other.example'><body>hi</body></message>"


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    with a_world(redis_url) as made:
        made.bucket = keys.bucket_of(f"{SERVICE} {OWNER}")
        yield made


@pytest.fixture
def devices(world: World) -> Devices:
    return some_devices(world)


def some_devices(world: World, **limits: int) -> Devices:
    settings = {"devices": 3, "tokens": 100, "kept_ms": 60_000, **limits}
    return Devices(world.journal, SERVICE, limits=Limits(**settings))


def registration(token: str = "ab" * 32, app: str = "chat") -> Registration:
    return Registration(service=SERVICE, node="", sid="", resource="", app=app, token=token)


def added(devices: Devices, device: str = "phone", token: str = "ab" * 32, owner: str = OWNER) -> Device:
    found = devices.add(owner, device, registration(token))
    assert isinstance(found, Device)
    return found


def claimed(world: World) -> Any:
    """What becomes of the newest event."""
    return world.pushes.claim(world.events()[-1], floor_ms=0)


def test_a_publish_wakes_the_device_and_says_how_many_wait(world: World, devices: Devices) -> None:
    device = added(devices)
    assert devices.notify(device.node, "message", count=4, message=TEXT)
    claim = claimed(world)

    assert isinstance(claim, Send)
    assert 4 == claim.count
    assert [("ab" * 32, device.node)] == [(one.token, one.node) for one in claim.registrations]
    assert [TEXT] == [waiting.entry.stanza for waiting in claim.waiting]


def test_publishes_before_the_push_are_one_push_of_the_newest(world: World, devices: Devices) -> None:
    device = added(devices)
    for count in (1, 2, 3):
        devices.notify(device.node, "message", count=count, message=a_message(str(count)))
    claim = claimed(world)

    assert 1 == len(world.events())
    assert isinstance(claim, Send)
    assert (3, [a_message("3")]) == (claim.count, [waiting.entry.stanza for waiting in claim.waiting])


@pytest.mark.parametrize("counts", [(1, 1), (5, 1), (1, 5)])
def test_each_publish_after_a_push_is_worth_another_whatever_it_counts(
    world: World, devices: Devices, counts: tuple[int, int]
) -> None:
    device = added(devices)
    told = []
    for count in counts:
        devices.notify(device.node, "message", count=count, message=TEXT)
        claim = claimed(world)
        assert isinstance(claim, Send)
        told.append(claim.count)

    assert list(counts) == told


def test_a_call_does_not_wait_for_a_message(world: World, devices: Devices) -> None:
    device = added(devices)
    devices.notify(device.node, "message", count=1, message=TEXT)
    devices.notify(device.node, "call", count=1, message=TEXT)

    assert ["message", "call"] == [event.kind for event in world.events()]


def test_what_was_read_meanwhile_is_not_pushed(world: World, devices: Devices) -> None:
    device = added(devices)
    devices.notify(device.node, "message", count=1, message=TEXT)
    devices.notify(device.node, "read", count=0, message=b"")

    assert Cancelled("back") == claimed(world)


def test_after_it_was_read_the_next_publish_wakes_again(world: World, devices: Devices) -> None:
    device = added(devices)
    devices.notify(device.node, "message", count=7, message=TEXT)
    devices.notify(device.node, "read", count=0, message=b"")
    devices.notify(device.node, "message", count=1, message=TEXT)

    assert 1 == claimed(world).count


def test_a_dead_token_ends_the_node_at_the_next_publish(world: World, devices: Devices) -> None:
    device = added(devices)
    devices.notify(device.node, "message", count=1, message=TEXT)
    claim = claimed(world)
    world.pushes.outcome(world.events()[-1], claim.registrations[0], "token-gone", dead=True)

    assert not devices.notify(device.node, "message", count=2, message=TEXT)
    assert devices.find(device.node) is None


def test_a_new_token_of_the_same_device_keeps_node_and_secret(world: World, devices: Devices) -> None:
    first = added(devices)
    devices.notify(first.node, "message", count=1, message=TEXT)
    again = added(devices, token="cd" * 32)

    assert first == again
    assert ["cd" * 32] == [one.token for one in claimed(world).registrations]


def test_a_device_whose_token_was_dead_is_there_again_when_it_registers(world: World, devices: Devices) -> None:
    first = added(devices)
    devices.notify(first.node, "message", count=1, message=TEXT)
    world.pushes.outcome(world.events()[-1], claimed(world).registrations[0], "token-gone", dead=True)

    assert first == added(devices, token="cd" * 32)
    assert devices.notify(first.node, "message", count=1, message=TEXT)


def test_two_people_have_a_node_each_for_one_device(devices: Devices) -> None:
    assert added(devices).node != added(devices, owner="romeo@other.example").node


def test_the_oldest_device_goes_when_there_are_too_many(world: World) -> None:
    devices = some_devices(world, devices=2)
    nodes = []
    for device in ("one", "two", "three"):
        nodes.append(added(devices, device).node)
        _let_a_millisecond_pass(world)

    assert [False, True, True] == [devices.find(node) is not None for node in nodes]


def _let_a_millisecond_pass(world: World) -> None:
    def now() -> tuple[Any, Any]:
        seconds, micros = world.journal.call("TIME")
        return seconds, int(micros) // 1000

    before = now()
    while now() == before:
        pass


def test_only_so_many_tokens_are_taken_an_hour(world: World) -> None:
    devices = some_devices(world, tokens=2)
    added(devices, token="01")
    added(devices, token="02")
    refused = devices.add(OWNER, "phone", registration("03"))

    assert isinstance(refused, TooMany)
    assert 3000 < refused.wait_s <= 3600
    assert added(devices, token="02"), "a token that is known does not count"
    assert added(devices, owner="romeo@other.example")


def test_an_owner_removes_a_device_by_its_node_or_its_name_and_nobody_else_does(devices: Devices) -> None:
    one, two = added(devices, "one"), added(devices, "two")

    assert not devices.remove("romeo@other.example", node=one.node)
    assert devices.remove(OWNER, node=one.node)
    assert devices.remove(OWNER, device="two")
    assert not devices.remove(OWNER, device="two")
    assert devices.find(one.node) is devices.find(two.node) is None


def test_who_registered_and_the_secret_can_be_asked(devices: Devices) -> None:
    device = added(devices)
    known = devices.find(device.node)

    assert known is not None
    assert (OWNER, device.secret) == (known.owner, known.secret)
    assert 32 == len(device.secret)
    assert device.secret not in repr(device) + repr(known)


def test_a_device_may_do_without_a_secret(devices: Devices) -> None:
    device = devices.add(OWNER, "phone", registration(), has_secret=False)

    assert isinstance(device, Device)
    assert "" == device.secret


def test_everything_of_a_device_ends_when_nobody_hears_of_it(world: World, devices: Devices) -> None:
    device = added(devices)
    devices.notify(device.node, "message", count=1, message=TEXT)
    jid = f"{device.node}@{SERVICE}"
    at = keys.prefix(jid)
    names = [keys.key(at, name, jid) for name in ("account", "registrations", "offline")]
    names.append(keys.key(at, "devices", f"{SERVICE} {OWNER}"))

    assert all(0 < int(world.redis.pttl(name)) <= 60_000 for name in names)


def test_nothing_is_left_of_a_device_that_was_removed(world: World, devices: Devices) -> None:
    device = added(devices)
    devices.notify(device.node, "message", count=1, message=TEXT)
    devices.remove(OWNER, node=device.node)
    left = [name.decode() for name in world.redis.scan_iter(count=1000)]

    assert [] == [name for name in left if device.node in name]
    assert [Cancelled("back")] == [world.pushes.claim(event, floor_ms=0) for event in world.events()]


@pytest.mark.parametrize(
    "asked",
    [
        lambda world: list(world.accounts.list()),
        lambda world: world.accounts.census().accounts,
    ],
    ids=["list", "census"],
)
def test_no_device_is_counted_as_an_account(world: World, devices: Devices, asked: Callable[[World], Any]) -> None:
    before = asked(world)
    added(devices)

    assert before == asked(world)


def test_an_account_is_no_device(world: World, devices: Devices) -> None:
    world.account(f"{'0' * 32}@{SERVICE}")

    assert devices.find("0" * 32) is None
    assert not devices.notify("0" * 32, "message", count=1, message=TEXT)
