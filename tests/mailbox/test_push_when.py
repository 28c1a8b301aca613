"""When a device is woken, beyond the plain rule: grace, archive, restart, an attended desktop, what was read there."""

from __future__ import annotations

import itertools
from typing import Any

import gevent
import pytest

from gateway.mailbox import keys
from gateway.mailbox.pushes import Cancelled, Later, Send
from gateway.xmpp import ns
from tests.mailbox.sleepers import send, sleeper
from tests.mailbox.speaking import says
from tests.mailbox.world import JULIET, ROMEO, Client, World, a_message

GRACE_MS = 60_000


def at_sleep_over(world: World, *, offered: bool, flags: str = "swb") -> Client:
    """A phone whose link breaks with a message in its queue, which was written to it or was not."""
    phone = world.client()
    phone.register()
    send(world, "1", flags=flags)
    world.mailbox.hibernate(phone.grip, sent=int(phone.marks()["tail"]) if offered else 0, grace_ms=GRACE_MS)
    return phone


def fall_due(world: World) -> None:
    """Let the time come of everything that waits for it."""
    key = keys.key(world.at, "retries")
    members: Any = world.redis.zrange(key, 0, -1)
    for member in members:
        world.redis.zadd(key, {member: 0})
    world.sweep.chores(world.bucket)


def counters(world: World, *names: str) -> list[int]:
    found = world.pushes.counters()
    return [found.get(name, 0) for name in names]


# grace


def test_what_was_written_to_the_link_that_broke_waits_for_the_phone_to_come_back(world: World) -> None:
    at_sleep_over(world, offered=True)
    before = world.reasons()
    fall_due(world)

    assert ([], ["hibernation"]) == (before, world.reasons())
    assert 1 == world.push_all()


def test_what_was_not_written_yet_does_not_wait(world: World) -> None:
    at_sleep_over(world, offered=False)

    assert ["hibernation"] == world.reasons()


def test_a_call_does_not_wait(world: World) -> None:
    at_sleep_over(world, offered=True, flags="swub")

    assert ["hibernation"] == world.reasons()


def test_a_message_during_the_grace_is_pushed_at_once_and_leaves_nothing_for_later(world: World) -> None:
    at_sleep_over(world, offered=True)
    send(world, "2")
    answer = world.claim()
    world.push_all()
    fall_due(world)

    assert isinstance(answer, Send)
    assert 2 == answer.count
    assert 0 == world.push_all()
    assert [2, 1, 1] == counters(world, "raised", "claimed", "cancelled:nothing-waiting")


def test_a_phone_that_is_back_within_the_grace_is_not_woken(world: World) -> None:
    phone = at_sleep_over(world, offered=True)
    phone.resume(0)
    fall_due(world)

    assert Cancelled("back") == world.claim()


def test_an_inactive_client_that_does_not_acknowledge_is_woken_as_such(world: World) -> None:
    phone = world.client()
    phone.register()
    phone.rest()
    send(world, "1")
    phone.overdue()

    assert ["inactive"] == world.reasons()


# devices without a session


def archived(world: World, text: str) -> None:
    world.deliver(a_message(text), flags="swba")


@pytest.fixture
def keeps_an_archive(world: World) -> None:
    world.redis.set(keys.key(world.at, "archive_default"), "always")


@pytest.mark.usefixtures("keeps_an_archive")
def test_what_a_live_device_took_is_told_to_one_without_a_session(world: World) -> None:
    phone = sleeper(world)
    phone.expire()
    world.client("desktop")
    archived(world, "1")
    archived(world, "2")
    (event,) = world.events()
    answer = world.claim()

    assert ("archived", "") == (event.reason, event.sid)
    assert isinstance(answer, Send)
    assert (2, ["phone"]) == (answer.count, [registration.resource for registration in answer.registrations])


@pytest.mark.usefixtures("keeps_an_archive")
def test_once_it_has_a_session_again_it_is_not_told_of_the_archive(world: World) -> None:
    sleeper(world).expire()
    world.client("desktop")
    archived(world, "1")
    world.push_all()
    world.client("phone")
    archived(world, "2")

    assert [] == world.reasons()
    assert "idle_important" not in world.hash("account", JULIET)


def test_what_is_in_no_archive_is_not_told_to_it(world: World) -> None:
    sleeper(world).expire()
    world.client("desktop")
    send(world, "1")

    assert [] == world.reasons()


def test_what_goes_offline_is_told_to_who_was_not_told_while_another_device_had_it(world: World) -> None:
    sleeper(world).expire()
    tablet = sleeper(world, "tablet")
    send(world, "1")
    told = world.push_all()
    tablet.expire()
    answer = world.claim()

    assert isinstance(answer, Send)
    assert (1, True) == (told, "phone" in {registration.resource for registration in answer.registrations})


@pytest.mark.parametrize("is_claimed", [True, False])
def test_who_left_without_having_been_available_is_told_of_what_came_meanwhile(world: World, is_claimed: bool) -> None:
    """While it was connected it needed no push, and took nothing that was stored offline."""
    phone = world.client(priority=None)
    phone.register()
    send(world, "1")
    early = world.push_all() if is_claimed else 0
    phone.close()

    assert (0, 1, 0) == (early, world.push_all(), world.push_all())


@pytest.mark.usefixtures("keeps_an_archive")
def test_what_was_told_of_the_archive_hides_nothing_that_is_stored_offline_later(world: World) -> None:
    sleeper(world).expire()
    desktop = world.client("desktop")
    archived(world, "1")
    told = world.push_all()
    desktop.ack_all()
    world.client("phone").close()
    desktop.close()
    send(world, "2")

    assert (1, 1) == (told, world.push_all())


# restart


def test_devices_of_a_dead_gateway_are_woken_one_after_the_other(world: World) -> None:
    world.sweep._wake_spacing_ms = 1000
    phones = [world.client(f"phone{n}") for n in range(4)]
    for phone in phones:
        phone.register()
    world.client("desktop")
    world.sweep.reap(world.bucket, world.node)
    due: Any = world.redis.zrange(keys.key(world.at, "retries"), 0, -1, withscores=True)
    times = sorted(score for _, score in due)

    assert 4 == len(times)
    assert all(later - sooner >= 1000 for sooner, later in itertools.pairwise(times))
    fall_due(world)
    assert 4 == world.push_all()


def test_who_was_pushed_meanwhile_or_is_back_is_not_woken_for_a_restart(world: World) -> None:
    world.sweep._wake_spacing_ms = 1
    pushed, back = world.client("pushed"), world.client("back")
    pushed.register()
    back.register()
    world.sweep.reap(world.bucket, world.node)
    send(world, "1", to="pushed")
    world.push_all()
    back.resume(0)
    fall_due(world)
    why = set()
    while world.events():
        answer = world.claim()
        assert isinstance(answer, Cancelled)
        why.add(answer.reason)

    assert {"pushed-meanwhile", "back"} == why


def test_nobody_is_woken_for_a_restart_unless_it_is_wanted(world: World) -> None:
    world.client().register()
    world.sweep.reap(world.bucket, world.node)
    fall_due(world)

    assert [] == world.reasons()


# other devices


def claim_left(world: World, grace_ms: int) -> Send | Later | Cancelled:
    return world.pushes.claim(world.events()[0], floor_ms=0, active_grace_ms=grace_ms)


def test_while_somebody_sits_at_another_device_the_push_waits(world: World) -> None:
    sleeper(world)
    world.client("desktop")
    send(world, "1")
    answer = claim_left(world, 30_000)
    fall_due(world)

    assert isinstance(answer, Later)
    assert 25_000 < answer.wait_ms <= 30_000
    assert isinstance(claim_left(world, 0), Send)


def test_a_device_at_which_nobody_sits_keeps_no_phone_asleep(world: World) -> None:
    sleeper(world)
    world.client("desktop").rest()
    send(world, "1")

    assert isinstance(claim_left(world, 30_000), Send)


def test_a_call_rings_at_once_whoever_sits_at_another_device(world: World) -> None:
    sleeper(world)
    world.client("desktop")
    send(world, "1", flags="swub")

    assert isinstance(claim_left(world, 30_000), Send)


def test_what_was_read_at_another_device_is_not_pushed(world: World) -> None:
    phone = world.client()
    phone.register()
    world.deliver(b"<message from='romeo@localhost/orchard'><body>1</body></message>", to="phone")
    phone.hibernate()
    world.call("displayed", JULIET, ROMEO.partition("/")[0], "")

    assert Cancelled("read-elsewhere") == world.claim()


def written_by(world: World, sender: str, text: str) -> None:
    stanza = f"<message from='{sender}/x'><body>{text}</body></message>".encode()
    world.deliver(stanza, to="phone", sender=f"{sender}/x")


@pytest.mark.parametrize("read", [("romeo@localhost",), ("nurse@localhost",), ("romeo@localhost", "nurse@localhost")])
def test_only_what_was_read_is_not_pushed_though_another_chat_is_unread(world: World, read: tuple[str, ...]) -> None:
    sleeper(world)
    written_by(world, "nurse@localhost", "an old story")
    world.push_all()
    written_by(world, "romeo@localhost", "news")
    for chat in read:
        world.call("displayed", JULIET, chat, "")
    answer = world.claim()

    assert ("romeo@localhost" in read) == (answer == Cancelled("read-elsewhere"))


def test_what_came_after_the_look_is_pushed(world: World) -> None:
    sleeper(world)
    written_by(world, "romeo@localhost", "one")
    world.call("displayed", JULIET, "romeo@localhost", "")
    gevent.sleep(0.002)
    written_by(world, "romeo@localhost", "two")

    assert isinstance(world.claim(), Send)


# what is told with a claim


def test_a_claim_tells_what_waits_who_wrote_it_and_what_else_there_is(world: World) -> None:
    phone = sleeper(world)
    for number in range(30):
        if number == 25:
            world.push_all()
        world.deliver(f"<message from='{ROMEO}'><body>{number}</body></message>".encode(), to="phone")
    world.redis.hset(keys.key(world.at, "roster", JULIET), "romeo@localhost", '{"s": "both"}')
    world.redis.hset(keys.key(world.at, "requests", JULIET), "tybalt@localhost", "<presence/>")
    answer = world.claim()

    assert isinstance(answer, Send)
    assert (30, 5, 20, {"both"}) == (
        answer.count,
        answer.fresh,
        len(answer.waiting),
        {each.subscription for each in answer.waiting},
    )
    assert answer.newest is not None
    assert b">29<" in answer.newest.stanza
    assert (1, 30, "message") == (answer.requests, answer.unread, answer.kind)
    assert phone.sid == answer.registrations[0].sid


def propose(call: str) -> bytes:
    return f"<message from='{ROMEO}'><propose xmlns='{ns.CALLS}' id='{call}'/></message>".encode()


def test_a_call_that_is_over_is_a_message(world: World) -> None:
    sleeper(world)
    world.deliver(propose("c1"), flags="swub")
    ringing = world.pushes.claim(world.events()[0], floor_ms=0)
    world.deliver(f"<message from='{ROMEO}'><retract xmlns='{ns.CALLS}' id='c1'/></message>".encode(), flags="sbx")
    over = world.pushes.claim(world.events()[0], floor_ms=0)

    assert isinstance(ringing, Send)
    assert isinstance(over, Send)
    assert [("call", "c1"), ("message", "c1")] == [(each.kind, each.call) for each in (ringing, over)]


def test_a_call_that_was_answered_before_its_push_rings_nowhere_else(world: World) -> None:
    sleeper(world)
    desktop = world.client("desktop")
    world.deliver(propose("c1"), flags="swub")
    accept = f"<message><accept xmlns='{ns.CALLS}' id='c1'/></message>".encode()
    says(desktop, JULIET, accept, flags="sbx")

    assert Cancelled("call-answered") == world.claim()
