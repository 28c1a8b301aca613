"""What nobody has looked at yet: counted where a message is taken, until the account itself says that it was seen."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.mailbox import keys
from gateway.mailbox.library import function
from gateway.mailbox.model import Origin, Status
from gateway.mailbox.unread import Unread
from tests.mailbox.bad_line import a_bad_line
from tests.mailbox.speaking import MARKER, answers, displays, says, watched
from tests.mailbox.world import CHAT, JULIET, Client, World, a_message, a_world

ROMEO, NURSE, ROOM = "romeo@localhost", "nurse@localhost", "garden@rooms.localhost"
ORCHARD = f"{ROMEO}/orchard"


def unread(world: World, user: str = JULIET) -> int | None:
    return Unread(world.journal).total(user)


def receive(world: World, *texts: str, sender: str = ORCHARD, **options: Any) -> list[str]:
    """Answers the archive ids."""
    return [world.deliver(a_message(text), sender=sender, **options).archive_id for text in texts]


@pytest.fixture
def phone(world: World) -> Client:
    for user in (ROMEO, NURSE):
        world.account(user)
    return watched(world)


# What is counted


def test_what_comes_is_unread(world: World, phone: Client) -> None:
    receive(world, "1", "2")
    receive(world, "3", sender=f"{NURSE}/kitchen")

    assert 3 == unread(world)


def test_an_account_without_push_counts_nothing(world: World) -> None:
    world.client()
    receive(world, "1")

    assert unread(world) is None
    assert not world.redis.exists(keys.key(world.at, "unread", JULIET))


def test_before_anything_was_counted_nobody_knows(world: World, phone: Client) -> None:
    assert unread(world) is None


@pytest.mark.parametrize(
    ("how", "flags"),
    {"wakes nobody": "sb", "is a call": "swub", "corrects an earlier one": "swbo"}.items(),
)
def test_what_is_no_new_message_is_not_counted(world: World, phone: Client, how: str, flags: str) -> None:
    receive(world, how, flags=flags)

    assert unread(world) is None


def test_what_waits_offline_is_unread_and_still_is_when_it_comes(world: World, phone: Client) -> None:
    phone.presence(None)
    receive(world, "1", "2")
    while_away = unread(world)
    phone.presence(0)

    assert (2, 2) == (while_away, unread(world))


def test_what_only_the_archive_has_is_unread(world: World, phone: Client) -> None:
    phone.presence(None)
    only_archived = world.status(a_message("1"), flags="wba")
    nowhere = world.status(a_message("2"), flags="wb")

    assert (Status.DROPPED, Status.DROPPED) == (only_archived, nowhere)
    assert 1 == unread(world)


def test_what_is_refused_is_not_counted(redis_url: str) -> None:
    with a_world(redis_url, quota=1) as world:
        world.account()
        watched(world).presence(None)
        taken = [world.status(a_message(text)) for text in "12"]

        assert [Status.OFFLINE, Status.FULL] == taken
        assert 1 == unread(world)


def test_a_message_that_comes_again_counts_once(world: World, phone: Client) -> None:
    origin = Origin("elsewhere", 7, 60_000)
    taken = [world.status(a_message("1"), origin=origin) for _ in range(2)]

    assert [Status.OK, Status.DUPLICATE] == taken
    assert 1 == unread(world)


def test_copies_for_several_devices_count_once(world: World, phone: Client) -> None:
    watched(world, "tablet").carbons()
    watched(world, "desktop")
    receive(world, "to all")
    receive(world, "to one, with a copy", to="phone", flags="swbc")

    assert 2 == unread(world)


def test_what_an_account_writes_to_itself_is_not_unread(world: World, phone: Client) -> None:
    answers(phone, JULIET)

    assert unread(world) is None


def test_many_of_the_same_moment_are_all_counted(world: World, phone: Client) -> None:
    receive(world, *(["the same"] * 60))

    assert 60 == unread(world)


# Rooms


def from_room(world: World, nick: str, text: str, *devices: str) -> None:
    """A room sends a message to each device that is in it."""
    for device in devices:
        stanza = f"<message to='{JULIET}/{device}' from='{ROOM}/{nick}' id='{text}'><body>{text}</body></message>"
        world.deliver(stanza.encode(), to=device, sender=f"{ROOM}/{nick}", type="groupchat", flags="wb")


def join(world: World, client: Client, nick: str) -> None:
    """It has sent presence to the room."""
    world.call("direct", client.sid, client.grip.epoch, f"{ROOM}/{nick}", "1")


def test_a_message_of_a_room_counts_once_for_all_devices_in_it(world: World, phone: Client) -> None:
    watched(world, "tablet")
    for text in "ab":
        from_room(world, "romeo", text, "phone", "tablet")
    from_room(world, "nurse", "b", "phone", "tablet")

    assert 3 == unread(world)


def test_what_an_account_says_in_a_room_is_not_unread_when_the_room_repeats_it(world: World, phone: Client) -> None:
    join(world, phone, "julia")
    from_room(world, "julia", "mine", "phone")
    from_room(world, "romeo", "his", "phone")

    assert 1 == unread(world)


def test_a_marker_in_a_room_is_sent_to_the_room(world: World, phone: Client) -> None:
    rooms = keys.prefix("rooms.localhost")
    world.journal.call("FCALL", function("component"), 1, rooms, "rooms.localhost", "sid", "n1", "owner", 60_000, "")
    from_room(world, "romeo", "a", "phone")
    receive(world, "1")
    reply = world.journal.call(
        "FCALL", function("deliver_component"), 2, rooms, world.at, ROOM, "", f"{JULIET}/phone", phone.sid, 1, 60_000,
        "m", "groupchat", "bv", *world.mailbox.limits, MARKER, "", phone.sid, JULIET, 0,
    )  # fmt: skip

    assert b"ok" == reply[0]
    assert 1 == unread(world)


# What is seen


def test_a_marker_takes_its_conversation_off_the_badge_and_no_other(world: World, phone: Client) -> None:
    receive(world, "1", "2")
    receive(world, "3", sender=f"{NURSE}/kitchen")
    tablet = watched(world, "tablet")
    displays(tablet, ORCHARD)

    assert 1 == unread(world)


def test_a_marker_to_the_bare_jid_is_for_the_same_conversation(world: World, phone: Client) -> None:
    receive(world, "1")
    displays(phone, ROMEO)

    assert 0 == unread(world)


def test_an_answer_shows_that_the_conversation_was_seen(world: World, phone: Client) -> None:
    receive(world, "1")
    answers(phone, ROMEO)

    assert 0 == unread(world)


def test_who_is_gone_or_blocked_was_read_all_the_same(world: World, phone: Client) -> None:
    for sender in ("gone@localhost", NURSE):
        receive(world, "1", sender=f"{sender}/x")
    world.call("block", JULIET, phone.sid, phone.grip.epoch, "r1", "<block/>", 10, *world.mailbox.limits, NURSE)
    statuses = [displays(phone, to).status for to in ("gone@localhost", NURSE)]

    assert [Status.NO_ACCOUNT, Status.BLOCKED_BY_YOU] == statuses
    assert 0 == unread(world)


@pytest.mark.parametrize("flags", ["sb", "swub"], ids=["a chat state", "a call"])
def test_what_else_is_sent_there_shows_nothing(world: World, phone: Client, flags: str) -> None:
    receive(world, "1")
    answers(phone, ROMEO, flags=flags)

    assert 1 == unread(world)


def test_only_the_account_itself_says_what_it_has_seen(world: World, phone: Client) -> None:
    romeo = watched(world, "orchard", ROMEO)
    receive(world, "1")
    says(romeo, JULIET, MARKER, flags="sbv")
    says(romeo, f"{JULIET}/phone", MARKER, flags="sbv")

    assert 1 == unread(world)


def test_a_jid_that_begins_alike_is_another_conversation(world: World, phone: Client) -> None:
    receive(world, "1", sender="romeo@localhost.example/x")
    receive(world, "2", sender="romeo@localhos/x")
    receive(world, "3", sender="ROMEO@localhost/x")
    displays(phone, ROMEO)

    assert 3 == unread(world)


def test_a_marker_that_comes_again_takes_nothing_that_came_since(world: World, phone: Client) -> None:
    receive(world, "1")
    displays(phone, ROMEO, count=1000)
    receive(world, "2")
    displays(phone, ROMEO, count=1000)

    assert 1 == unread(world)


def test_a_publication_that_comes_again_takes_nothing_that_came_since(world: World, phone: Client) -> None:
    receive(world, "1")
    world.call("displayed", JULIET, ROMEO, "", "r1")
    receive(world, "2")
    world.call("displayed", JULIET, ROMEO, "", "r1")
    again = unread(world)
    world.call("displayed", JULIET, ROMEO, "", "r2")

    assert (1, 0) == (again, unread(world))


def test_up_to_a_stanza_id_means_up_to_that_message(world: World, phone: Client) -> None:
    ids = receive(world, *"12345", flags=CHAT + "a")
    seen = []
    for upto in (ids[1], ids[0], ids[4]):
        Unread(world.journal).displayed(JULIET, ROMEO, upto)
        seen.append(unread(world))

    assert [3, 3, 0] == seen


@pytest.mark.parametrize("upto", ["", "not-ours", "1700000000000", "5-", "1-2-3", f"{'9' * 400}-0", "\uff19-\uff19"])
def test_an_id_that_is_none_of_the_archives_means_all_there_is(world: World, phone: Client, upto: str) -> None:
    receive(world, "1", "2")
    Unread(world.journal).displayed(JULIET, ROMEO, upto)

    assert 0 == unread(world)


def test_when_something_was_read_is_known(world: World, phone: Client) -> None:
    counter = Unread(world.journal)
    receive(world, "1")
    before = counter.read_at_ms(JULIET)
    displays(phone, NURSE)
    nothing_was_unread = counter.read_at_ms(JULIET)
    displays(phone, ROMEO)
    seconds, _ = world.redis.time()

    assert (0, 0) == (before, nothing_was_unread)
    assert abs(counter.read_at_ms(JULIET) - seconds * 1000) < 30_000


def test_a_push_that_waits_is_cancelled_when_the_message_was_seen_elsewhere(world: World, phone: Client) -> None:
    phone.hibernate()
    desktop = world.client("desktop")
    receive(world, "1")
    waiting = world.reasons()
    displays(desktop, ROMEO)

    assert ["queued"] == waiting
    assert "read-elsewhere" == getattr(world.claim(), "reason", "sent")


# What strangers can make of it


def test_a_badge_has_its_bounds_and_a_flood_pushes_out_itself(world: World, phone: Client) -> None:
    redis: Any = world.redis
    key = keys.key(world.at, "unread", JULIET)
    redis.zadd(key, {f"flood@localhost\n{n:015d}-0000000": 0 for n in range(1100)})
    receive(world, *(["x"] * 300))
    kept, shown = redis.zcard(key), unread(world)
    displays(phone, "flood@localhost/x")
    left = unread(world)

    assert kept < 1050  # it is trimmed now and then, so a few more may be there
    assert 1000 == shown
    assert left is not None and 290 <= left <= 300


def test_long_addresses_are_kept_short(world: World, phone: Client) -> None:
    long = f"{'r' * 900}@localhost"
    receive(world, "1", sender=f"{long}/x")
    (member,) = world.redis.zrange(keys.key(world.at, "unread", JULIET), 0, -1)
    before = unread(world)
    says(phone, long, MARKER, flags="sbv")
    Unread(world.journal).displayed(JULIET, long)

    assert len(member) < 100
    assert (1, 0) == (before, unread(world))


def test_it_does_not_outlive_the_account_nor_is_it_kept_for_ever(world: World, phone: Client) -> None:
    receive(world, "1")
    key = keys.key(world.at, "unread", JULIET)
    lasting: Any = world.redis.ttl(key)
    world.accounts.remove(JULIET)

    assert 0 < lasting <= 30 * 86400
    assert not world.redis.exists(key)


def test_it_works_over_a_line_that_breaks(redis_url: str, tmp_path: Any) -> None:
    with a_bad_line(tmp_path / "bad", redis_url) as line, a_world(redis_url) as behind, a_world(line.url) as world:
        behind.account()
        phone = watched(behind)
        receive(behind, "1")
        for operation in (lambda: receive(world, "2"), lambda: Unread(world.journal).displayed(JULIET, NURSE)):
            line.breaks = [0]
            line.cut()
            operation()
        before = unread(behind)
        displays(phone, ROMEO)

        assert (2, 0) == (before, unread(behind))
