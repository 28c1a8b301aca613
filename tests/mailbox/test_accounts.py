"""create, remove, census, sessions: accounts as operators see them."""

from __future__ import annotations

from typing import Any

from gateway.mailbox import library
from gateway.mailbox.model import NotResumed
from gateway.mailbox.pushes import Send
from tests.mailbox.world import JULIET, World, a_message


def send(world: World, *texts: str, **options: Any) -> None:
    for text in texts:
        world.deliver(a_message(text), **options)


def test_an_account_is_created_once(world: World) -> None:
    assert not world.accounts.create(JULIET, {"scheme": "other"})
    found = world.accounts.credentials(JULIET)
    assert found is not None
    assert "test" == found["scheme"]


def test_a_request_to_create_that_is_sent_twice_succeeds_twice(world: World) -> None:
    assert b"ok" == world.call("create", "new@localhost", "0", "request-1", "a", "b")
    assert b"ok" == world.call("create", "new@localhost", "0", "request-1", "a", "b")
    assert b"exists" == world.call("create", "new@localhost", "0", "request-2", "a", "b")


def test_credentials_are_replaced_only_where_there_are_some(world: World) -> None:
    assert world.accounts.set_credentials(JULIET, {"scheme": "new"})
    assert not world.accounts.set_credentials("nobody@localhost", {"scheme": "new"})
    found = world.accounts.credentials(JULIET)
    assert found is not None
    assert "new" == found["scheme"]
    assert world.accounts.credentials("nobody@localhost") is None


def test_accounts_are_listed(world: World) -> None:
    world.account("romeo@localhost")

    assert {JULIET, "romeo@localhost"} == set(world.accounts.list())


def test_a_removed_account_leaves_no_key_of_its_own(world: World) -> None:
    phone = world.client()
    phone.register()
    send(world, "1")
    phone.hibernate()
    world.client("tablet")
    world.bind("third").close()
    left = world.accounts.remove(JULIET)
    own = [key for key in world.redis.keys("*") if JULIET.encode() in key or b"sid-" in key]

    assert left is not None
    assert {"", "n1"} == {node for _sid, node in left}
    assert [] == [key for key in own if b":o:" not in key]
    assert world.accounts.remove(JULIET) is None
    assert {"accepted": 1, "dropped": 1} == world.fates()


def test_nothing_of_a_removed_account_shows_up_in_the_next_of_that_name(world: World) -> None:
    source = library.source().replace("PIECE, PIECE_BYTES = 1000,", "PIECE, PIECE_BYTES = 1,")
    world.journal.call("FUNCTION", "LOAD", "REPLACE", source)
    phone = world.client("phone")
    phone.register()
    send(world, "1", "2", "3")
    world.call("close", phone.sid, 1, "true", 5000, 1000, 10)  # its first piece
    tablet = world.client("tablet", priority=None)
    send(world, "4", "5", to="tablet")
    events = world.events()
    world.call("remove", JULIET)  # without what `Accounts.remove` does next: as if its process had died
    world.account()
    again = world.client("phone")
    for sid in world.sweep.chores(world.bucket).unfinished:
        world.sweep.finish(world.bucket, sid)

    assert [] == again.stanzas() == world.offline()
    assert "stale" == tablet.ack(0)[0]
    assert isinstance(tablet.resume(0), NotResumed)
    assert not any(isinstance(world.pushes.claim(event, floor_ms=0), Send) for event in events)
    assert {"accepted": 5, "dropped": 5} == world.fates()


def test_the_census_counts_what_is_there(world: World) -> None:
    phone = world.client()
    phone.register()
    send(world, "1")
    phone.hibernate()
    census = world.accounts.census()

    assert (1, 1, 1, 0, 0) == (census.accounts, census.sleeping, census.events, census.retries, census.outbox)
    assert world.events()[0].at_ms >= census.oldest_event_ms > 0
    assert {"accepted": 1} == census.fates


def test_a_sessions_line_tells_its_state(world: World) -> None:
    phone = world.client()
    phone.register()
    send(world, "1")
    phone.hibernate()
    (line,) = world.accounts.sessions(JULIET)

    assert ("phone", phone.sid, "asleep", "", 0, 1, 0, 0, True) == (
        line.resource, line.sid, line.state, line.node, line.acked, line.tail, line.backlog, line.priority,
        line.has_push,
    )  # fmt: skip
    assert line.deadline > line.bound_at > 0
