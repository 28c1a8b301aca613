"""The mover, killed between each of its steps; retention; what a removed account leaves."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.archive.errors import ArchiveRefused, ArchiveUnavailable
from gateway.mailbox import keys
from gateway.mailbox.archive_ids import LATEST, first_of
from gateway.mailbox.archives import Kept
from tests.archive.world import ArchiveWorld, numbered
from tests.mailbox.world import CHAT, JULIET, a_message
from workers.archiver.retention import DAY_MS


class Killed(BaseException):
    """The process is gone."""


def ids(entries: list[Kept]) -> list[int]:
    return [entry.id for entry in entries]


def forget_lease(world: ArchiveWorld) -> None:
    world.mailboxes.redis.delete(keys.key(keys.prefix(JULIET), "archive_moving"))


def test_what_is_beyond_the_number_leaves_redis_and_is_still_in_the_archive(world: ArchiveWorld) -> None:
    everything = numbered(1200)
    world.put(everything)

    assert 1100 == world.move(recent=100)
    assert 100 == world.archives.ends(JULIET).length
    assert 1100 == world.store.count(JULIET, above=0, below=LATEST)
    assert ids(everything) == world.everything()
    assert 0 == world.move(recent=100)


def test_what_is_older_than_the_days_leaves_redis(world: ArchiveWorld) -> None:
    now_ms = world.archives.ends(JULIET).now_ms
    old, fresh = numbered(5, first_ms=now_ms - 10 * DAY_MS), numbered(5, first_ms=now_ms - DAY_MS)
    world.put([*old, *fresh])
    moves = world.moves(recent=1000, recent_ms=7 * DAY_MS)

    assert [JULIET] == list(moves.due(world.mailboxes.bucket))
    assert tuple(old) == moves.take(JULIET)


@pytest.mark.parametrize("victim", ["taken", "committed", "moved"])
@pytest.mark.parametrize("piece", [1, 2])
def test_a_mover_killed_after_any_step_leaves_an_archive_without_gap_or_double(
    world: ArchiveWorld, victim: str, piece: int
) -> None:
    everything = numbered(1300)
    world.put(everything)
    seen = 0

    def step(name: str) -> None:
        nonlocal seen
        seen += name == victim
        assert ids(everything) == world.everything()
        if seen == piece:
            raise Killed

    with pytest.raises(Killed):
        world.move(recent=10, step=step)

    assert ids(everything) == world.everything()
    forget_lease(world)
    world.move(recent=10)
    assert ids(everything) == world.everything()
    assert 10 == world.archives.ends(JULIET).length
    assert 1290 == world.store.count(JULIET, above=0, below=LATEST)


def test_a_database_that_fails_costs_nothing_and_lets_another_try(
    world: ArchiveWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = numbered(20)
    world.put(everything)

    def fail(*_: object) -> None:
        raise ArchiveUnavailable("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "insert", fail)
        with pytest.raises(ArchiveUnavailable):
            world.move(recent=5)

    assert ids(everything) == world.everything()
    assert 15 == world.move(recent=5)
    assert ids(everything) == world.everything()


def test_one_account_that_cannot_be_moved_does_not_hold_up_the_others(
    world: ArchiveWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [f"u{number}@localhost" for number in range(20)]
    for user in (JULIET, *others):
        if user != JULIET:
            world.mailboxes.account(user)
        world.put(numbered(3), user)
    insert = world.store.insert

    def refuse(user: str, entries: Sequence[Kept]) -> None:
        if user == JULIET:
            raise ArchiveRefused("foreign data")
        insert(user, entries)

    monkeypatch.setattr(world.store, "insert", refuse)
    world.archiver().round()

    assert [0, *[3] * 20] == [world.store.count(user, above=0, below=LATEST) for user in (JULIET, *others)]
    assert 3 == len(world.everything())


def test_an_archive_that_a_worker_holds_is_left_to_it(world: ArchiveWorld) -> None:
    world.put(numbered(20))
    first, second = world.moves(token="one"), world.moves(token="two")

    assert 20 == len(first.take(JULIET))
    assert () == second.take(JULIET)
    first.moved(JULIET, None)
    assert 20 == len(second.take(JULIET))


def test_two_movers_at_the_same_entries_do_no_harm(world: ArchiveWorld) -> None:
    everything = numbered(20)
    world.put(everything)
    first, second = world.moves(token="one"), world.moves(token="two", recent=5)
    taken = first.take(JULIET)
    forget_lease(world)
    again = second.take(JULIET)
    world.store.insert(JULIET, taken)
    world.store.insert(JULIET, again)
    second.moved(JULIET, again[-1].id)
    assert ids(everything) == world.everything()
    first.moved(JULIET, taken[-1].id)
    second.moved(JULIET, again[-1].id)

    assert ids(everything) == world.everything()
    assert 0 == world.archives.ends(JULIET).length


def test_deliveries_go_on_while_entries_are_moved(world: ArchiveWorld) -> None:
    def step(name: str) -> None:
        world.mailboxes.deliver(a_message(name), flags=CHAT + "a")

    step("first")
    world.move(step=step, recent=1)

    bodies = [world.reader.find(JULIET, [number])[0].stanza for number in world.everything()]
    assert len(bodies) == len(set(bodies)) >= 2
    assert world.everything() == sorted(set(world.everything()))


@pytest.mark.parametrize("in_sql", [0, 50, 95, 100])
@pytest.mark.parametrize("most", [1, 10, 60, 100, 1000])
def test_only_the_newest_so_many_are_kept(world: ArchiveWorld, in_sql: int, most: int) -> None:
    everything = numbered(100)
    world.put(everything)
    world.move(recent=100 - in_sql)
    world.retention(archive_max_messages=most).prune(JULIET)

    assert ids(everything[-most:]) == world.everything()
    assert world.store.count(JULIET, above=0, below=LATEST) <= min(most, in_sql)


@pytest.mark.parametrize("in_sql", [0, 50, 100])
def test_what_has_expired_is_gone_from_both_parts(world: ArchiveWorld, in_sql: int) -> None:
    now_ms = world.archives.ends(JULIET).now_ms
    old, fresh = numbered(70, first_ms=now_ms - 40 * DAY_MS), numbered(30, first_ms=now_ms - 20 * DAY_MS)
    world.put([*old, *fresh])
    world.move(recent=100 - in_sql)
    world.retention(archive_expires_after=30).prune(JULIET)

    assert ids(fresh) == world.everything()
    assert fresh[0].id > world.archives.ends(JULIET).pruned >= old[-1].id
    assert world.store.count(JULIET, above=0, below=LATEST) == max(0, in_sql - 70)
    assert not world.reader.has(JULIET, old[-1].id)


def test_retention_killed_before_its_rows_are_deleted_shows_none_of_them(
    world: ArchiveWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = numbered(100)
    world.put(everything)
    world.move(recent=10)

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "erase", die)
        with pytest.raises(Killed):
            world.retention(archive_max_messages=30).prune(JULIET)

    assert ids(everything[-30:]) == world.everything()
    world.retention(archive_max_messages=30).prune(JULIET)
    assert 20 == world.store.count(JULIET, above=0, below=LATEST)


def test_without_limits_nothing_is_deleted(world: ArchiveWorld) -> None:
    everything = numbered(50, first_ms=1000)
    world.put(everything)
    world.move(recent=20)
    world.retention().prune(JULIET)

    assert ids(everything) == world.everything()


def deliver(world: ArchiveWorld, count: int) -> None:
    for number in range(count):
        assert world.mailboxes.deliver(a_message(f"m{number}"), flags=CHAT + "a").archive_id


def test_a_removed_account_leaves_no_key_and_no_row(world: ArchiveWorld) -> None:
    deliver(world, 20)
    world.move(recent=5)
    world.archives.set_preferences(JULIET, world.archives.preferences(JULIET))
    world.mailboxes.accounts.remove(JULIET)
    world.archiver().round()
    left = [key for key in world.mailboxes.redis.keys("*") if b"arch" in key or b"mamp" in key or b"acct:" in key]

    assert [] == left
    assert 0 == world.store.count(JULIET, above=0, below=LATEST)


def test_a_new_account_of_the_name_sees_nothing_of_the_old_ones_archive_and_keeps_its_own(world: ArchiveWorld) -> None:
    deliver(world, 20)
    world.move(recent=5)
    old = world.everything()
    world.mailboxes.accounts.remove(JULIET)
    world.mailboxes.account()

    assert [] == world.everything()
    deliver(world, 6)
    world.move(recent=2)
    mine = world.everything()
    assert 6 == len(mine)
    assert not set(mine) & set(old)
    assert 19 == world.store.count(JULIET, above=0, below=LATEST)
    world.archiver(recent=2).round()
    assert mine == world.everything()
    assert 4 == world.store.count(JULIET, above=0, below=LATEST)


def test_a_clock_set_back_gives_a_new_account_later_ids_all_the_same(world: ArchiveWorld) -> None:
    future = first_of(world.archives.ends(JULIET).now_ms + 10 * DAY_MS)
    world.put([Kept(future, "romeo@localhost", b"<message/>")])
    world.move()
    world.mailboxes.accounts.remove(JULIET)
    world.mailboxes.account()
    deliver(world, 3)

    assert 3 == len(world.everything())
    assert min(world.everything()) > future
    world.archiver().round()
    assert 3 == len(world.everything())


def test_rows_that_a_mover_adds_after_the_account_was_removed_are_erased_as_well(world: ArchiveWorld) -> None:
    deliver(world, 5)
    moves = world.moves(token="slow")
    taken = moves.take(JULIET)
    world.mailboxes.accounts.remove(JULIET)
    world.mailboxes.account()
    archiver = world.archiver()
    archiver.round()
    world.store.insert(JULIET, taken)
    moves.moved(JULIET, taken[-1].id)

    assert [] == world.everything()
    archiver.round()
    assert 0 == world.store.count(JULIET, above=0, below=LATEST)
    assert not world.mailboxes.redis.exists(keys.key(keys.prefix(JULIET), "archive_removed"))


def test_of_a_disabled_account_nothing_is_moved(world: ArchiveWorld) -> None:
    deliver(world, 5)
    at = keys.prefix(JULIET)
    redis = world.mailboxes.redis
    account, aside = keys.key(at, "account", JULIET), keys.key(at, "disabled", JULIET)
    redis.rename(account, aside)

    assert 0 == world.move()
    world.retention(archive_max_messages=1).prune(JULIET)
    assert not redis.exists(account)
    redis.rename(aside, account)
    assert 5 == world.move()
    assert 5 == len(world.everything())
