"""Invitations and in-band registration in the mailbox: used once, whatever dies in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from gateway.mailbox import keys
from gateway.mailbox.invites import Enrolled, Invite, Invites
from tests.mailbox.world import JULIET, World

GUEST, OTHER = "guest@localhost", "other@localhost"
FIELDS = {"scheme": "test"}
WEEK_S = 604_800


@pytest.fixture
def invites(world: World) -> Invites:
    return Invites(world.journal)


@pytest.fixture
def store(redis_url: str) -> redis.Redis[bytes]:
    return redis.Redis.from_url(redis_url)


def a_token(invites: Invites, *, inviter: str = JULIET, name: str = "", lifetime_s: int = WEEK_S) -> str:
    token = invites.make(inviter, name=name, is_contact=True, lifetime_s=lifetime_s, most=5)
    assert token is not None
    return token


def age_claims(store: redis.Redis[bytes], at: str, by_ms: int) -> None:
    """As if the claims of a bucket had been made so long ago."""
    for key in store.scan_iter(f"{at}inv:*"):
        claimed = store.hget(key, "claimed_at")
        if claimed is not None:
            store.hset(key, "claimed_at", int(claimed) - by_ms)


def test_an_invitation_says_whose_it_is_until_it_is_used(invites: Invites) -> None:
    token = a_token(invites)

    assert Invite(JULIET, "", is_contact=True) == invites.look(token)
    assert Enrolled.OK == invites.enroll(GUEST, FIELDS, token)
    assert invites.look(token) is None
    assert Enrolled.NOT_INVITED == invites.enroll(OTHER, FIELDS, token)


def test_the_store_does_not_know_the_token(invites: Invites, store: redis.Redis[bytes]) -> None:
    token = a_token(invites, name=GUEST)
    texts = list(store.scan_iter())
    texts += [part for key in store.scan_iter("*inv:*") for item in store.hgetall(key).items() for part in item]

    assert [] == [text for text in texts if token.encode() in text or token[2:].encode() in text]


def test_an_expired_invitation_is_not_shown_again_but_whoever_showed_it_may_use_it(
    invites: Invites, store: redis.Redis[bytes]
) -> None:
    token = a_token(invites)
    for key in store.scan_iter("*inv:*"):
        store.hset(key, "expires", 1)

    assert invites.look(token) is None
    assert Enrolled.OK == invites.enroll(GUEST, FIELDS, token)


@pytest.mark.parametrize("token", ["", "x", "zz" + "a" * 22, "ff" + "a" * 22, "00" + "a" * 22, "00" + "a" * 23])
def test_what_is_no_token_is_nothing(invites: Invites, token: str) -> None:
    assert invites.look(token) is None
    assert Enrolled.NOT_INVITED == invites.enroll(GUEST, FIELDS, token or "x")


def test_a_taken_name_leaves_the_invitation_as_it_was(invites: Invites) -> None:
    token = a_token(invites)

    assert Enrolled.CONFLICT == invites.enroll(JULIET, FIELDS, token)
    assert Enrolled.OK == invites.enroll(GUEST, FIELDS, token)


def test_of_two_at_once_one_has_it(invites: Invites) -> None:
    token = a_token(invites)

    assert invites._claim(GUEST, token, "first")
    assert not invites._claim(OTHER, token, "second")
    assert invites._claim(GUEST, token, "first")


@pytest.mark.parametrize("was_made", [False, True])
def test_a_claim_whose_process_died_lapses_unless_its_account_was_made(
    invites: Invites, store: redis.Redis[bytes], was_made: bool
) -> None:
    token = a_token(invites)
    invites._claim(GUEST, token, "first")
    if was_made:
        digest = next(iter(store.scan_iter("*inv:*"))).decode().rpartition(":")[2]
        store.hset(keys.key(keys.prefix(GUEST), "account", GUEST), mapping={"request": "first", "invite": digest})
    age_claims(store, keys.prefix(JULIET), 61_000)

    assert (Enrolled.NOT_INVITED if was_made else Enrolled.OK) == invites.enroll(OTHER, FIELDS, token)
    assert invites.look(token) is None


def test_a_reserved_name_is_for_its_guest_alone(invites: Invites, world: World) -> None:
    token, other = a_token(invites, name=GUEST), a_token(invites)

    assert invites.make(JULIET, name=GUEST, lifetime_s=WEEK_S, most=5) is None
    assert invites.make(JULIET, name=JULIET, lifetime_s=WEEK_S, most=5) is None
    assert Enrolled.CONFLICT == invites.enroll(GUEST, FIELDS)
    assert Enrolled.CONFLICT == invites.enroll(GUEST, FIELDS, other)
    assert Enrolled.NOT_INVITED == invites.enroll(OTHER, FIELDS, token)
    assert Enrolled.OK == invites.enroll(GUEST, FIELDS, token)
    assert world.accounts.credentials(GUEST) is not None


def test_an_operator_gives_a_reserved_name_away(invites: Invites, world: World) -> None:
    token = a_token(invites, name=GUEST)

    assert world.accounts.create(GUEST, FIELDS)
    assert Enrolled.CONFLICT == invites.enroll(GUEST, FIELDS, token)


@pytest.mark.parametrize("gone", [lambda w: w.accounts.remove(JULIET), lambda w: w.accounts.erase(JULIET)])
def test_invitations_go_with_their_inviter(
    invites: Invites, world: World, store: redis.Redis[bytes], gone: Callable[[World], object]
) -> None:
    token = a_token(invites)
    gone(world)

    assert invites.look(token) is None
    assert [] == list(store.scan_iter("*inv*"))
    assert invites.make(JULIET, lifetime_s=WEEK_S, most=5) is None


def test_there_are_so_many_tries_for_each_and_for_all(invites: Invites) -> None:
    def tries(address: str, times: int) -> list[bool]:
        return [invites.admit(address, most_of_address=2, most=3) for _ in range(times)]

    assert [True, True, False] == tries("192.0.2.1", 3)
    assert [True, False] == tries("192.0.2.2", 2)
