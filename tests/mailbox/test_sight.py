"""Who may see an account, and what: decided in the mailbox."""

from __future__ import annotations

import json

import pytest

from gateway.mailbox import keys
from gateway.mailbox.sight import Absence, Sight
from tests.mailbox.world import JULIET, ROMEO, World


def subscribe(world: World, subscription: str, contact: str = "romeo@localhost") -> None:
    world.redis.hset(keys.key(world.at, "roster", JULIET), contact, json.dumps({"s": subscription}))


def resources(world: World, asker: str = ROMEO, user: str = JULIET) -> list[str] | None:
    return Sight(world.mailbox).resources(user=user, asker=asker)


def absence(world: World, asker: str = ROMEO, user: str = JULIET) -> Absence | None:
    return Sight(world.mailbox).absence(user=user, asker=asker)


@pytest.mark.parametrize(("subscription", "sees"), [("none", False), ("to", False), ("from", True), ("both", True)])
def test_a_contact_sees_an_account_whose_presence_it_gets(world: World, subscription: str, sees: bool) -> None:
    subscribe(world, subscription)

    assert ([] if sees else None) == resources(world)
    assert (Absence(None) if sees else None) == absence(world)


def test_a_stranger_sees_as_much_as_of_no_account(world: World) -> None:
    assert None is resources(world)
    assert None is resources(world, user="nobody@localhost")
    assert None is absence(world)
    assert None is absence(world, user="nobody@localhost")


def test_an_account_that_is_gone_is_seen_by_nobody(world: World) -> None:
    assert None is resources(world, asker="nobody@localhost/x", user="nobody@localhost")


def test_who_is_blocked_sees_nothing(world: World) -> None:
    subscribe(world, "both")
    world.redis.sadd(keys.key(world.at, "blocked", JULIET), ROMEO)

    assert None is resources(world)
    assert [] == resources(world, asker="romeo@localhost/other")


def test_the_resources_are_those_that_are_available(world: World) -> None:
    world.client("phone")
    world.client("quiet", priority=-1)
    world.client("bound", priority=None)

    assert {"phone", "quiet"} == set(resources(world, asker=f"{JULIET}/phone") or [])


def test_an_account_that_is_available_has_been_absent_for_no_time(world: World) -> None:
    world.client("phone")

    assert Absence(0) == absence(world, asker=f"{JULIET}/phone")


def test_an_absence_begins_with_the_last_unavailable_presence(world: World) -> None:
    first, last = world.client("phone"), world.client("tablet")
    first.presence(None, b"<presence type='unavailable'><status>first</status></presence>")

    assert Absence(0) == absence(world, asker=f"{JULIET}/x")
    last.presence(None, b"<presence type='unavailable'><status>bye</status></presence>")
    found = absence(world, asker=f"{JULIET}/x")
    assert found is not None
    assert found.since_ms is not None
    assert 0 <= found.since_ms < 60_000
    assert b"<presence type='unavailable'><status>bye</status></presence>" == found.presence


def test_an_absence_may_begin_without_a_word(world: World) -> None:
    client = world.client("phone")
    client.presence(None, b"<presence type='unavailable'><status>bye</status></presence>")
    client.presence(0)
    client.close()

    found = absence(world, asker=f"{JULIET}/x")
    assert found is not None
    assert found.since_ms is not None
    assert b"" == found.presence


def test_a_long_farewell_is_not_kept(world: World) -> None:
    client = world.client("phone")
    client.presence(None, b"<presence type='unavailable'><status>%b</status></presence>" % (b"x" * 5000))

    found = absence(world, asker=f"{JULIET}/x")
    assert found is not None
    assert b"" == found.presence


def test_a_session_that_was_never_available_begins_no_absence(world: World) -> None:
    world.client("phone", priority=None).close()

    assert Absence(None) == absence(world, asker=f"{JULIET}/x")


def test_who_sleeps_and_is_seen_as_gone_has_been_absent_since(world: World) -> None:
    client = world.client("phone")
    before = absence(world, asker=f"{JULIET}/x")
    key = keys.key(world.at, "session", client.sid)
    world.redis.hset(key, mapping={"faded": "unavailable", "slept_at": "1000"})

    found = absence(world, asker=f"{JULIET}/x")
    assert Absence(0) == before
    assert found is not None
    assert found.since_ms is not None
    assert found.since_ms > 1_000_000_000_000
    assert [] == resources(world, asker=f"{JULIET}/x")
