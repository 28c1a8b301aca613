"""What a delivery leaves in both sides' archives, and what a client that caught up from there does not get again."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.mailbox import keys
from gateway.mailbox.model import Delivery, Origin, Status
from tests.mailbox.world import JULIET, ROMEO, Client, World, a_message, a_world, waited

KEPT = "swba"
ROMEO_BARE = "romeo@localhost"


def archive(world: World, user: str = JULIET) -> list[tuple[str, str, bytes]]:
    """Id, other party and stanza of each entry."""
    found: Any = world.redis.xrange(keys.key(keys.prefix(user), "archive", user))
    return [(id_.decode(), fields[b"w"].decode(), fields[b"s"]) for id_, fields in found]


def numbered(text: str, user: str, id_: str) -> bytes:
    """A message as a mailbox keeps it for its clients (XEP-0359)."""
    return f"<message><body>{text}</body><stanza-id xmlns='urn:xmpp:sid:0' by='{user}' id='{id_}'/></message>".encode()


def give(world: World, text: str, **options: Any) -> Delivery:
    return world.deliver(a_message(text), **{"flags": KEPT, **options})


def test_a_message_is_archived_as_it_came_and_delivered_with_its_id(world: World) -> None:
    phone = world.client()
    answer = give(world, "hello")

    assert [(answer.archive_id, ROMEO, a_message("hello"))] == archive(world)
    assert [numbered("hello", JULIET, answer.archive_id)] == phone.stanzas()


def test_both_sides_keep_it_each_with_the_other_party(world: World) -> None:
    world.account(ROMEO_BARE)
    desk, romeo = world.bind("desk", user=ROMEO_BARE), world.bind("orchard", user=ROMEO_BARE)
    desk.carbons()
    answer = give(world, "hello", origin=Origin(romeo.sid, 1, 60_000, romeo.grip))
    ((_mine, *theirs),) = archive(world, ROMEO_BARE)

    assert [JULIET, a_message("hello")] == theirs
    assert [(answer.archive_id, f"{ROMEO_BARE}/orchard", a_message("hello"))] == archive(world)


def test_a_copy_holds_the_id_of_its_own_account(world: World) -> None:
    world.account(ROMEO_BARE)
    desk, romeo = world.bind("desk", user=ROMEO_BARE), world.bind("orchard", user=ROMEO_BARE)
    desk.carbons()
    give(world, "hello", flags="swbac", origin=Origin(romeo.sid, 1, 60_000, romeo.grip))
    read = waited(
        lambda done: world.mailbox.read(desk.grip, position=1, most=9, most_bytes=10**6, done=done)
    )[1]  # fmt: skip

    assert numbered("hello", ROMEO_BARE, archive(world, ROMEO_BARE)[0][0])[9:] in read[0].stanza


def test_a_note_to_the_own_account_is_archived_once(world: World) -> None:
    phone = world.client()
    give(world, "note", sender=f"{JULIET}/phone", origin=Origin(phone.sid, 1, 60_000, phone.grip))

    assert [a_message("note")] == [stanza for _, _, stanza in archive(world)]


@pytest.mark.parametrize("what", ["full", "bounce", "blocked", "twice", "no-account"])
def test_what_was_not_taken_is_in_nobody_s_archive(redis_url: str, what: str) -> None:
    with a_world(redis_url, quota=0 if what == "full" else 9) as world:
        world.account()
        world.account(ROMEO_BARE)
        romeo = world.bind("orchard", user=ROMEO_BARE)
        origin = Origin(romeo.sid, 1, 60_000, romeo.grip)
        if what == "blocked":
            world.redis.sadd(keys.key(world.at, "blocked", JULIET), ROMEO_BARE)
        options = {"type": "groupchat"} if what == "bounce" else {}
        options |= {"user": "nobody@localhost"} if what == "no-account" else {}
        before = 1 if what == "twice" and give(world, "hello", origin=origin) else 0
        answer = give(world, "hello", origin=origin, **options)

        assert answer.status not in (Status.OK, Status.OFFLINE, Status.DROPPED)
        assert "" == answer.archive_id
        assert (before, before) == (len(archive(world)), len(archive(world, ROMEO_BARE)))


def test_who_blocks_cannot_write_to_whom_he_blocks(world: World) -> None:
    world.account(ROMEO_BARE)
    romeo = world.bind("orchard", user=ROMEO_BARE)
    world.redis.sadd(keys.key(world.at, "blocked", ROMEO_BARE), JULIET)
    answer = give(world, "hello", origin=Origin(romeo.sid, 1, 60_000, romeo.grip))

    assert Status.BLOCKED_BY_YOU == answer.status
    assert ({}, []) == (world.fates(), archive(world))


def test_what_the_account_does_not_want_kept_has_no_id(world: World) -> None:
    phone = world.client()
    world.call("archive_set_prefs", JULIET, "never")
    answer = give(world, "hello")

    assert ("", []) == (answer.archive_id, archive(world))
    assert [a_message("hello")] == phone.stanzas()


# what a session left


def test_with_another_session_there_an_archived_remainder_ends_archived(world: World) -> None:
    phone, _tablet = world.client("phone"), world.client("tablet")
    give(world, "kept", to="phone")
    world.deliver(a_message("not kept"), to="phone")
    phone.close()

    assert {"accepted": 2, "archived": 1, "bounced": 1} == world.fates()
    assert [a_message("not kept")] == world.outbox()


@pytest.mark.parametrize("resend", [True, False])
def test_neither_bounce_nor_other_devices_get_what_is_archived(redis_url: str, resend: bool) -> None:
    with a_world(redis_url, resend=resend) as world:
        world.account()
        phone, tablet = world.client("phone"), world.client("tablet")
        give(world, "kept", to="phone")
        phone.close()

        assert ([], []) == (tablet.stanzas()[1:], world.outbox())
        assert {"accepted": 1, "archived": 1} == world.fates()


def test_with_no_other_session_there_it_waits_offline_under_its_id(world: World) -> None:
    phone = world.client()
    answer = give(world, "kept")
    phone.close()

    assert [numbered("kept", JULIET, answer.archive_id)] == world.offline()


def test_what_retention_took_is_not_called_archived(world: World) -> None:
    phone, _tablet = world.client("phone"), world.client("tablet")
    answer = give(world, "kept", to="phone")
    world.call("archive_prune", JULIET, answer.archive_id)
    phone.close()

    assert {"accepted": 1, "bounced": 1} == world.fates()


def test_what_may_not_wait_but_is_archived_ends_archived_when_nobody_is_there(world: World) -> None:
    assert Status.DROPPED == give(world, "kept", flags="a").status
    assert {"accepted": 1, "archived": 1} == world.fates()


# what a client caught up with


def three(world: World) -> tuple[list[str], Client]:
    """The ids of three messages that wait offline, and a session without presence."""
    ids = [give(world, str(n)).archive_id for n in range(3)]
    return ids, world.client("new", priority=None)


def texts(client: Client) -> list[bytes]:
    return [stanza.split(b"body>")[1][:-2] for stanza in client.stanzas() if b"<body>" in stanza]


@pytest.mark.parametrize(
    ("low", "high", "expected", "archived"),
    [
        (None, 2, [], 3),
        (None, 1, [b"2"], 2),
        (0, 2, [b"0"], 2),
        (1, 1, [b"0", b"1", b"2"], 0),
    ],
    ids=["all", "the older ones", "the newer ones", "nothing"],
)
def test_what_a_client_was_shown_does_not_come_again(
    world: World, low: int | None, high: int, expected: list[bytes], archived: int
) -> None:
    ids, client = three(world)
    client.shown("0-0" if low is None else ids[low], ids[high])
    client.presence()

    assert expected == texts(client)
    assert archived == world.fates().get("archived", 0)


def test_without_a_look_into_the_archive_everything_comes(world: World) -> None:
    _ids, client = three(world)
    client.presence()

    assert [b"0", b"1", b"2"] == texts(client)


def test_pages_that_touch_are_one_stretch_and_others_are_not(world: World) -> None:
    ids = [give(world, str(n)).archive_id for n in range(4)]
    client = world.client("new", priority=None)
    client.shown("0-0", ids[0])
    client.shown(ids[1], ids[2])
    client.shown(ids[2], ids[3])
    client.presence()

    assert [b"0", b"1"] == texts(client)


def test_what_is_not_archived_comes_though_a_later_one_was_shown(world: World) -> None:
    world.deliver(a_message("0"))
    last = give(world, "1").archive_id
    client = world.client("new", priority=None)
    client.shown("0-0", last)
    client.presence()

    assert [b"0"] == texts(client)


def test_what_retention_took_comes_though_it_was_shown(world: World) -> None:
    ids, client = three(world)
    client.shown("0-0", ids[2])
    world.call("archive_prune", JULIET, ids[0])
    client.presence()

    assert [b"0"] == texts(client)


def test_what_came_after_the_look_comes(world: World) -> None:
    ids, client = three(world)
    client.shown("0-0", ids[2])
    give(world, "3")
    client.presence()

    assert [b"3"] == texts(client)


def test_what_a_replaced_session_left_does_not_come_again_either(world: World) -> None:
    old = world.client()
    ids = [give(world, str(n)).archive_id for n in range(3)]
    new = world.bind("phone")
    new.shown(ids[0], ids[2])
    new.presence()

    assert [b"0"] == texts(new)
    assert "stale" == old.ack(1)[0]
    new.ack_all()
    assert {"accepted": 3, "archived": 2, "acked": 1} == world.fates()


def test_nobody_is_woken_for_what_the_client_has_seen(world: World) -> None:
    phone = world.client()
    phone.register()
    phone.close()
    ids = [give(world, str(n)).archive_id for n in range(3)]
    client = world.bind("phone")
    client.enable()
    client.shown("0-0", ids[2])
    client.presence()
    client.ack_all()
    client.hibernate()

    assert 0 == world.push_all()


def test_a_stale_owner_was_shown_nothing(world: World) -> None:
    ids, client = three(world)
    awake = client.taken_over(client.resume(0))

    assert b"stale" == client.shown("0-0", ids[2])[0]
    awake.presence()
    assert [b"0", b"1", b"2"] == texts(awake)


# two devices, one offline store


@pytest.mark.parametrize(
    ("has_carbons", "looks", "expected"),
    [(True, True, [b"1"]), (False, True, []), (True, False, [])],
    ids=["looked, copies on", "no copies", "did not look"],
)
def test_who_looked_and_has_copies_on_misses_nothing_that_another_device_takes(
    world: World, has_carbons: bool, looks: bool, expected: list[bytes]
) -> None:
    first = give(world, "0", flags="swbac").archive_id
    laptop, phone = world.client("laptop", priority=None), world.client("phone", priority=None)
    laptop.carbons(has_carbons)
    if looks:
        laptop.shown("0-0", first)
    give(world, "1", flags="swbac")
    phone.presence()
    laptop.presence()

    assert [b"0", b"1"] == texts(phone)
    assert expected == texts(laptop)


def test_what_a_device_knows_already_it_takes_from_no_other(world: World) -> None:
    ids, phone = three(world)
    laptop = world.client("laptop", priority=None)
    laptop.carbons()
    laptop.shown("0-0", ids[0])
    phone.shown("0-0", ids[2])
    give(world, "3", flags="swbac")
    phone.presence()

    assert [b"3"] == texts(phone)
    assert [b"3"] == texts(laptop)


def test_what_the_client_has_seen_does_not_cover_what_comes_later(world: World) -> None:
    phone = world.client()
    phone.register()
    phone.close()
    ids = [give(world, str(n)).archive_id for n in range(3)]
    assert 1 == world.push_all()
    client = world.client(priority=None)
    client.shown("0-0", ids[2])
    client.presence()
    client.close()
    give(world, "3")

    assert 1 == world.push_all()
