"""The archive's operations on a real Redis: what gets in, what a page may queue, what preferences do."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from gateway.mailbox import keys
from gateway.mailbox.archive_ids import LATEST, to_number, to_text
from gateway.mailbox.archives import Archives, Preferences, set_default
from gateway.mailbox.library import function
from tests.mailbox.world import CHAT, JULIET, ROMEO, World, a_message

ARCHIVED = CHAT + "a"


def archives(world: World) -> Archives:
    return Archives(world.mailbox)


def kept(world: World) -> list[str]:
    part = archives(world).page(JULIET, above=0, below=LATEST, backwards=False, most=1000)
    return [entry.peer for entry in part.entries]


def results(count: int) -> list[bytes]:
    return [f"<message><r n='{number}'/></message>".encode() for number in range(count)]


def test_a_delivery_is_in_the_archive_under_the_id_it_was_given(world: World) -> None:
    delivery = world.deliver(a_message("x"), flags=ARCHIVED)
    number = to_number(delivery.archive_id)
    assert number is not None

    found = archives(world).find(JULIET, [number]).entries
    assert [(number, ROMEO, a_message("x"))] == [(one.id, one.peer, one.stanza) for one in found]


def test_what_was_refused_is_not_in_the_archive(small: World) -> None:
    for number in range(10):
        small.deliver(a_message(f"m{number}"), flags=ARCHIVED)

    assert 4 == len(kept(small))


@pytest.mark.parametrize(
    ("default", "listed", "is_kept"),
    [
        ("always", {}, True),
        ("never", {}, False),
        ("roster", {}, False),
        ("always", {"romeo@localhost": "never"}, False),
        ("always", {"romeo@localhost/orchard": "never"}, False),
        ("always", {"romeo@localhost/street": "never"}, True),
        ("never", {"romeo@localhost": "always"}, True),
        ("never", {"romeo@localhost/orchard": "always", "romeo@localhost": "never"}, True),
        ("always", {"romeo@localhost/orchard": "never", "romeo@localhost": "always"}, False),
        ("always", {"localhost": "never"}, True),
    ],
)
def test_preferences_decide(world: World, default: str, listed: dict[str, str], is_kept: bool) -> None:
    wanted = Preferences(default, listed)

    assert wanted == archives(world).set_preferences(JULIET, wanted)
    assert wanted == archives(world).preferences(JULIET)
    assert is_kept == bool(world.deliver(a_message("x"), flags=ARCHIVED).archive_id)


def test_roster_means_contacts(world: World) -> None:
    archives(world).set_preferences(JULIET, Preferences("roster", {}))
    world.redis.hset(keys.key(world.at, "roster", JULIET), "romeo@localhost", '{"s":"none"}')

    assert world.deliver(a_message("x"), flags=ARCHIVED).archive_id
    assert not world.deliver(a_message("x"), flags=ARCHIVED, sender="nurse@localhost/x").archive_id


@pytest.mark.parametrize("default", ["always", "never"])
def test_who_said_nothing_gets_the_servers_default_and_who_did_does_not(world: World, default: str) -> None:
    set_default(world.journal, default)

    assert default == archives(world).preferences(JULIET).default
    assert (default == "always") == bool(world.deliver(a_message("x"), flags=ARCHIVED).archive_id)
    archives(world).set_preferences(JULIET, Preferences("always", {}))
    assert world.deliver(a_message("x"), flags=ARCHIVED).archive_id


def test_preferences_of_nobody_leave_nothing_behind(world: World) -> None:
    archives(world).set_preferences("nobody@localhost", Preferences("never", {"a@b": "always"}))

    assert [] == [key for key in world.redis.keys("*") if b"nobody" in key]


def test_a_page_is_queued_whole_and_in_order(world: World) -> None:
    client = world.client()

    assert None is archives(world).queue(client.grip, results(250))
    assert results(250) == client.stanzas()
    assert {"r"} == {entry.kind for entry in client.read()}


def test_a_page_sent_twice_by_the_journal_is_queued_once(world: World) -> None:
    client = world.client()
    arguments = (client.sid, client.grip.epoch, "name", 100, 100, "0-0", "", *results(3))
    world.call("archive_results", *arguments)
    world.call("archive_results", *arguments)
    world.call("archive_results", client.sid, client.grip.epoch, "other", 100, 100, "0-0", "", *results(3))

    assert results(3) * 2 == client.stanzas()


def test_a_page_for_which_there_is_no_room_is_not_queued_at_all(redis_url: str) -> None:
    world = World(redis_url, queue=10)
    world.account()
    client = world.client()
    client.append(b"<iq/>")

    assert 8 == archives(world).queue(client.grip, results(9))
    assert [b"<iq/>"] == client.stanzas()
    assert None is archives(world).queue(client.grip, results(8))
    assert 0 == archives(world).queue(client.grip, results(1))
    world.close()


def test_another_owner_of_the_session_is_not_disturbed(world: World) -> None:
    client = world.client()
    resumed = client.taken_over(client.resume(0))

    assert 0 == archives(world).queue(client.grip, results(1), low=0, high=5)
    assert [] == resumed.stanzas()
    assert "arch_high" not in resumed.marks()


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        ([(0, 10)], (0, 10)),
        ([(0, 10), (10, 20)], (0, 20)),
        ([(0, 10), (5, 7)], (0, 10)),
        ([(20, 30), (10, 20)], (10, 30)),
        ([(20, 30), (0, 5)], (20, 30)),
        ([(0, 5), (20, 30)], (20, 30)),
        ([(20, 30), (10, 40)], (10, 40)),
        ([(20, 30), (30, 30)], (20, 30)),
    ],
)
def test_stretches_that_were_shown_are_joined(
    world: World, stretches: list[tuple[int, int]], expected: tuple[int, int]
) -> None:
    client = world.client()
    for low, high in stretches:
        archives(world).queue(client.grip, results(1), low=low, high=high)
    marks = client.marks()

    assert tuple(map(to_text, expected)) == (marks["arch_low"], marks["arch_high"])


def test_a_page_that_shows_no_stretch_moves_no_mark(world: World) -> None:
    client = world.client()
    archives(world).queue(client.grip, results(1))

    assert "arch_high" not in client.marks()


def test_a_session_of_a_removed_account_leaves_no_archive(world: World) -> None:
    """Its last message may be on its way when the account goes."""
    world.account("romeo@localhost")
    sender = world.bind("orchard", user="romeo@localhost")
    world.accounts.remove("romeo@localhost")
    at = keys.prefix("romeo@localhost")
    world.journal.call(
        "FCALL", function("deliver"), 2, world.at, at, JULIET, "", ROMEO, "@x", 1, 1000, "m", "chat", ARCHIVED, 100,
        100, a_message("x"), "", sender.sid, "romeo@localhost", len(a_message("x")) - len("</message>"),
    )  # fmt: skip

    left: list[Any] = [key for key in world.redis.keys("*") if b"romeo" in key and b"arch:" in key]
    assert [] == left
    assert not world.redis.exists(keys.key(at, "account", "romeo@localhost"))


def test_ids_of_any_size_are_compared_as_numbers(world: World) -> None:
    """Not as texts: 9-0 is before 10-0, 10-9 before 10-10."""
    at = keys.key(world.at, "archive", JULIET)
    for name in ("9-0", "10-9", "10-10", "8796093022207-1048575"):
        world.redis.xadd(at, {"w": ROMEO, "s": b"x"}, id=name)
    order = [
        to_text(e.id) for e in archives(world).page(JULIET, above=0, below=LATEST, backwards=False, most=9).entries
    ]

    assert ["9-0", "10-9", "10-10"] == order
    below = to_number("10-10")
    assert below is not None
    page = archives(world).page(JULIET, above=9 << 20, below=below, backwards=True, most=9, peer=secrets.token_hex(2))
    assert ((), True) == (page.entries, page.is_end)
