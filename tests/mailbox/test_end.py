"""close, expire, finish, reap, remove: what a session leaves gets its one fate (architecture, section 5)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.mailbox import library, nodes
from gateway.mailbox.model import NotResumed, Resumed, Status
from gateway.mailbox.pushes import Send
from tests.mailbox.world import JULIET, World, a_message, a_world, waited


def send(world: World, *texts: str, **options: Any) -> None:
    for text in texts:
        world.deliver(a_message(text), **options)


def test_what_a_closed_session_did_not_ack_is_stored_in_order_with_its_time(world: World) -> None:
    phone = world.client()
    send(world, "1", "2", "3")
    phone.ack(1)
    stamps = [entry.stamp_ms for entry in phone.read()]
    phone.close()
    again = world.bind("other")
    again.presence()

    assert [a_message("2"), a_message("3")] == again.stanzas()
    assert stamps == [entry.stamp_ms for entry in again.read() if entry.kind == "m"]


def test_a_closed_session_frees_its_resource_and_is_not_resumed(world: World) -> None:
    phone = world.client()
    phone.handled(5)
    phone.close()

    assert [] == world.accounts.sessions(JULIET)
    assert NotResumed(h=5) == phone.resume(0)
    assert Status.OFFLINE == world.status(a_message("1"), to="phone")


def test_others_hear_that_a_closed_session_is_gone(world: World) -> None:
    tablet, phone = world.client("tablet"), world.client("phone")
    tablet.ack_all()
    placed = phone.close()

    assert [tablet.sid] == [each.sid for each in placed]
    assert [b"<presence from='juliet@localhost/phone' to='juliet@localhost' type='unavailable'/>"] == tablet.stanzas()


def test_a_jid_is_no_pattern(world: World) -> None:
    tablet, odd = world.client("tablet"), world.client("100 %s %d%%")
    tablet.ack_all()
    odd.close()

    assert [
        b"<presence from='juliet@localhost/100 %s %d%%' to='juliet@localhost' type='unavailable'/>"
    ] == tablet.stanzas()


@pytest.mark.parametrize(
    ("resend", "with_other", "expected"),
    [
        ("if_offline", False, "stored"),
        ("if_offline", True, "bounced"),
        (True, False, "stored"),
        (True, True, "delivered"),
        (False, False, "bounced"),
        (False, True, "bounced"),
    ],
)
def test_resend_on_timeout_decides_where_messages_go(
    redis_url: str, resend: Any, with_other: bool, expected: str
) -> None:
    with a_world(redis_url, resend=resend) as world:
        world.account()
        phone = world.client("phone")
        if with_other:
            tablet = world.client("tablet")
            tablet.ack_all()
        send(world, "1", "2", to="phone")
        phone.hibernate()
        phone.expire()
        messages = [a_message("1"), a_message("2")]
        delivered = [stanza for stanza in tablet.stanzas() if b"<message>" in stanza] if with_other else []

        assert (messages if expected == "stored" else []) == world.offline()
        assert (messages if expected == "bounced" else []) == world.outbox()
        assert (messages if expected == "delivered" else []) == delivered
        assert (2 if expected == "bounced" else 0) == world.fates().get("bounced", 0)


def test_without_offline_storage_what_is_left_goes_back_to_its_senders(redis_url: str) -> None:
    with a_world(redis_url, quota=0) as world:
        world.account()
        phone = world.client()
        send(world, "1")
        phone.close()

        assert [a_message("1")] == world.outbox()


def test_what_was_accepted_is_stored_beyond_the_quota(small: World) -> None:
    phone = small.client()
    send(small, "1", "2", "3", "4", "5", "6", "7")
    phone.close()

    assert [a_message(n) for n in "1234567"] == small.offline()
    assert Status.FULL == small.status(a_message("8"))


def test_an_iq_request_is_bounced_and_presence_is_dropped(world: World) -> None:
    phone = world.client()
    world.deliver(b"<iq type='get'/>", kind="q", type="get", to="phone", flags="b")
    world.deliver(b"<iq type='result'/>", kind="r", type="result", to="phone", flags="")
    world.deliver(b"<presence/>", kind="p", type="", to="phone", flags="")
    phone.close()

    assert [b"<iq type='get'/>"] == world.outbox()
    assert [] == world.offline()
    assert {} == world.fates()


def test_what_may_not_be_stored_is_dropped_and_counted(world: World) -> None:
    phone = world.client()
    world.deliver(b"<composing/>", flags="")
    phone.close()

    assert {"accepted": 1, "dropped": 1} == world.fates()
    assert [] == world.outbox()


def test_a_bounce_is_taken_from_the_outbox_when_it_was_posted(world: World) -> None:
    phone = world.client()
    world.deliver(b"<iq type='get'/>", kind="q", type="get", to="phone", flags="b")
    phone.close()
    ((name, fields),) = world.sweep.outbox(world.bucket)
    world.sweep.posted(world.bucket, name)

    assert {"do": b"bounce", "user": JULIET.encode(), "stanza": b"<iq type='get'/>"} == fields
    assert [] == world.outbox()


def test_a_session_expires_only_after_its_deadline(world: World) -> None:
    phone = world.client()
    phone.hibernate()

    assert world.sweep.expire(world.bucket, phone.sid) is None
    assert () == phone.expire()
    assert NotResumed(h=0) == phone.resume(0)


def test_a_session_that_was_resumed_does_not_expire(world: World) -> None:
    phone = world.client(max_ms=0)
    phone.hibernate()
    fell_due = world.sweep.chores(world.bucket).expired
    awake = phone.taken_over(phone.resume(0))

    assert (phone.sid,) == fell_due
    assert world.sweep.expire(world.bucket, phone.sid) is None
    assert "ok" == awake.ack(0)[0]
    assert () == world.sweep.chores(world.bucket).expired


def test_a_session_that_expired_is_not_resumed_but_tells_its_count(world: World) -> None:
    phone = world.client(max_ms=0)
    phone.handled(9)
    phone.hibernate()
    world.sweep.expire(world.bucket, phone.sid)

    assert NotResumed(h=9) == phone.resume(0)


def test_so_many_old_counts_are_kept_the_newest(redis_url: str) -> None:
    with a_world(redis_url, old=2) as world:
        world.account()
        clients = [world.client(f"r{n}") for n in range(3)]
        for n, client in enumerate(clients):
            client.handled(n + 1)
            world.redis.time()
            client.close()
            world.redis.zadd(f"{world.at}olds:{JULIET}", {client.sid: n + 1})  # ends in this order, also within one ms

        assert [NotResumed(), NotResumed(h=2), NotResumed(h=3)] == [client.resume(0) for client in clients]


def test_an_end_can_be_asked_for_twice(world: World) -> None:
    phone = world.client()
    send(world, "1")
    phone.close()

    assert () == phone.close()
    assert world.sweep.expire(world.bucket, phone.sid) is None
    assert () == world.sweep.finish(world.bucket, phone.sid)
    assert [a_message("1")] == world.offline()


def test_a_large_remainder_is_settled_in_pieces_and_keeps_its_order(redis_url: str) -> None:
    with a_world(redis_url, quota=5000) as world:
        world.account()
        phone = world.client()
        send(world, *(str(n) for n in range(2300)), flags="sb")
        first = world.call("close", phone.sid, 1, "if_offline", 5000, 5000, 10)
        unfinished = world.sweep.chores(world.bucket).unfinished
        send(world, "new", flags="sb")
        world.sweep.finish(world.bucket, phone.sid)

        assert (b"more", (phone.sid,)) == (first[0], unfinished)
        assert [*(a_message(str(n)) for n in range(2300)), a_message("new")] == world.offline()
        assert () == world.sweep.chores(world.bucket).unfinished


def test_a_client_that_comes_between_two_pieces_gets_all_in_order(redis_url: str) -> None:
    with a_world(redis_url, quota=5000) as world:
        world.account()
        phone = world.client()
        send(world, *(str(n) for n in range(1500)), flags="sb")
        world.call("close", phone.sid, 1, "if_offline", 5000, 5000, 10)
        send(world, "new", flags="sb")
        again = world.bind()
        again.presence()
        seen = []
        while entries := again.read():
            seen += [entry.stanza for entry in entries if entry.stanza != again.own]
            again.ack_all()

        assert [*(a_message(str(n)) for n in range(1500)), a_message("new")] == seen


def test_what_others_left_before_it_was_handed_over_is_stored_and_wakes(redis_url: str) -> None:
    with a_world(redis_url, resend=True) as world:
        world.account()
        world.journal.call(
            "FUNCTION",
            "LOAD",
            "REPLACE",
            library.source().replace("PIECE, PIECE_BYTES = 1000,", "PIECE, PIECE_BYTES = 1,"),
        )
        phone, tablet = world.client("phone"), world.client("tablet")
        phone.register()
        phone.ack_all()
        send(world, "1", "2", to="phone")
        world.call("close", phone.sid, 1, "true", 5000, 1000, 10)  # the first piece goes to the tablet
        tablet.presence(None)
        world.sweep.finish(world.bucket, phone.sid)

        assert a_message("1") in tablet.stanzas()
        assert [a_message("2")] == world.offline()
        assert ["offline"] == world.reasons()


def test_a_remainder_beyond_a_mebibyte_is_settled_in_pieces(world: World) -> None:
    phone = world.client()
    send(world, *("x" * 200_000 for _ in range(8)))
    first = world.call("close", phone.sid, 1, "if_offline", 5000, 1000, 10)
    half = len(world.offline())
    world.sweep.finish(world.bucket, phone.sid)

    assert b"more" == first[0]
    assert 6 == half
    assert 8 == len(world.offline())


# nodes


def test_a_dead_nodes_sessions_hibernate_and_are_resumed_elsewhere(world: World) -> None:
    phone, plain = world.client("phone"), world.bind("plain")
    send(world, "1", to="phone")
    send(world, "2", to="plain")
    count = world.sweep.reap(world.bucket, "n1")
    for sid in world.sweep.chores(world.bucket).unfinished:
        world.sweep.finish(world.bucket, sid)
    with a_world(world.url, node="n2") as other:
        answer = phone.resume(0, world=other)

        assert 2 == count
        assert isinstance(answer, Resumed)
        assert [a_message("1")] == phone.taken_over(answer, other).stanzas()
    assert "stale" == plain.ack(0)[0]
    assert 0 == world.sweep.reap(world.bucket, "n1")


def test_a_node_that_is_reaped_while_it_lives_is_fenced_out(world: World) -> None:
    phone = world.client()
    send(world, "1")
    world.sweep.reap(world.bucket, "n1")

    assert "stale" == phone.ack(1)[0]
    assert isinstance(phone.resume(0), Resumed)


def test_reaping_leaves_other_nodes_alone(world: World) -> None:
    phone = world.client()
    world.sweep.reap(world.bucket, "n2")

    assert "ok" == phone.ack(0)[0]


def test_tails_tell_what_a_node_owns_and_how_far_it_reaches(world: World) -> None:
    phone, tablet = world.client("phone"), world.client("tablet")
    phone.ack_all()
    send(world, "1", "2", to="phone")
    tablet.hibernate()
    flat = world.call("tails", "n1")

    assert {phone.sid.encode(): int(phone.marks()["tail"])} == dict(zip(flat[::2], flat[1::2], strict=True))


def test_a_nodes_number_moves_and_is_forgotten(world: World) -> None:
    for _ in range(3):
        waited(lambda done: nodes.heartbeat(world.journal, "n1", done))
    nodes.declare_dead(world.journal, "n2")
    alive, dead = nodes.heartbeats(world.journal), nodes.declared_dead(world.journal)
    nodes.forget(world.journal, "n2")
    nodes.leave(world.journal, "n1")

    assert ({"n1": 3}, {"n2"}) == (alive, dead)
    assert ({}, set()) == (nodes.heartbeats(world.journal), nodes.declared_dead(world.journal))


# accounts


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
