"""close, expire, finish, reap, remove: what a session leaves gets its one fate (architecture, section 5)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.mailbox import library
from gateway.mailbox.model import NotResumed, Status
from tests.mailbox.world import JULIET, World, a_message, a_world


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
