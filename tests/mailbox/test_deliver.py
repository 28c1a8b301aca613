"""deliver: RFC 6121 section 8.5 and XEP-0160, whatever state the recipient's sessions are in."""

from __future__ import annotations

from hashlib import sha1

import pytest

from gateway.mailbox import entry, keys
from gateway.mailbox.model import Origin, Placed, Resumed, Status
from tests.mailbox.world import JULIET, Client, World, a_message, a_world

ROMEO_BARE = "romeo@localhost"


def test_a_message_for_an_unknown_account_is_refused(world: World) -> None:
    assert Status.NO_ACCOUNT == world.status(a_message("hello"), user="nobody@localhost")


def test_a_message_to_the_bare_jid_reaches_every_available_session(world: World) -> None:
    phone, tablet = world.client("phone"), world.client("tablet")
    phone.ack_all()

    answer = world.deliver(a_message("hello"))

    assert {phone.sid, tablet.sid} == {placed.sid for placed in answer.placed}
    assert [a_message("hello")] == phone.stanzas() == tablet.stanzas()


def test_a_session_of_negative_priority_gets_no_messages_but_presence(world: World) -> None:
    quiet = world.client("phone", priority=-1)

    assert Status.OFFLINE == world.status(a_message("hello"))
    assert Status.OK == world.status(b"<presence/>", kind="p", type="")
    assert [b"<presence/>"] == quiet.stanzas()


def test_a_message_to_a_full_jid_reaches_that_session_only(world: World) -> None:
    phone, tablet = world.client("phone"), world.client("tablet")
    phone.ack_all()

    answer = world.deliver(a_message("hello"), to="tablet")

    assert [tablet.sid] == [placed.sid for placed in answer.placed]
    assert [] == phone.stanzas()


def test_a_session_without_presence_gets_what_names_its_full_jid(world: World) -> None:
    client = world.client("phone", priority=None)

    world.deliver(a_message("hello"), to="phone")

    assert [a_message("hello")] == client.stanzas()


def test_a_chat_message_to_a_resource_that_is_gone_is_meant_for_the_person(world: World) -> None:
    phone = world.client("phone")

    answer = world.deliver(a_message("hello"), to="gone")

    assert (Placed(phone.sid, "n1", 1),) == answer.placed


@pytest.mark.parametrize(
    ("kind", "type_", "to", "expected"),
    [
        ("m", "chat", "", Status.OFFLINE),
        ("m", "normal", "gone", Status.OFFLINE),
        ("m", "headline", "", Status.DROPPED),
        ("m", "headline", "gone", Status.DROPPED),
        ("m", "groupchat", "", Status.BOUNCE),
        ("m", "groupchat", "gone", Status.BOUNCE),
        ("m", "error", "", Status.DROPPED),
        ("m", "error", "gone", Status.DROPPED),
        ("q", "get", "", Status.BOUNCE),
        ("q", "get", "gone", Status.BOUNCE),
        ("r", "result", "gone", Status.DROPPED),
        ("p", "", "gone", Status.DROPPED),
        ("p", "", "", Status.DROPPED),
    ],
)
def test_with_nobody_there_the_type_decides(world: World, kind: str, type_: str, to: str, expected: Status) -> None:
    assert expected == world.status(b"<x/>", kind=kind, type=type_, to=to)


def test_a_message_that_may_not_be_stored_is_dropped_when_nobody_is_there(world: World) -> None:
    assert Status.DROPPED == world.status(b"<composing/>", flags="")
    assert {"accepted": 1, "dropped": 1} == world.fates()


def test_an_origin_is_taken_once(world: World) -> None:
    phone = world.client()
    origin = Origin("romeo-1", 7, 60_000)

    first = world.status(a_message("hello"), origin=origin)
    again = world.status(a_message("hello"), origin=origin)

    assert (Status.OK, Status.DUPLICATE) == (first, again)
    assert [a_message("hello")] == phone.stanzas()


def test_an_earlier_count_of_an_origin_is_a_duplicate_too(world: World) -> None:
    world.status(a_message("hello"), origin=Origin("romeo-1", 7, 60_000))

    assert Status.DUPLICATE == world.status(a_message("before"), origin=Origin("romeo-1", 6, 60_000))


def test_what_was_refused_is_judged_anew_when_it_comes_again(redis_url: str) -> None:
    with a_world(redis_url, quota=0) as world:
        world.account()
        origin = Origin("romeo-1", 7, 60_000)
        refused = world.status(a_message("hello"), origin=origin)
        world.client()

        assert Status.FULL == refused
        assert Status.OK == world.status(a_message("hello"), origin=origin)


def test_a_refusal_leaves_the_origin_where_it_was(small: World) -> None:
    for count in range(1, 5):
        small.status(a_message(str(count)), origin=Origin("romeo-1", count, 60_000))

    assert Status.FULL == small.status(a_message("5"), origin=Origin("romeo-1", 5, 60_000))
    assert Status.DUPLICATE == small.status(a_message("4"), origin=Origin("romeo-1", 4, 60_000))


def test_an_origin_is_forgotten_by_expiry(world: World) -> None:
    world.status(a_message("hello"), origin=Origin("romeo-1", 7, 60_000))
    key = f"{world.at}o:romeo-1:{sha1(JULIET.encode()).hexdigest()}"

    assert 0 < int(world.redis.pttl(key)) <= 60_000


def test_an_origin_that_is_kept_for_no_time_is_no_fault(world: World) -> None:
    assert Status.OFFLINE == world.status(a_message("hello"), origin=Origin("romeo-1", 7, 0))


def test_a_delivery_without_origin_is_taken_once_however_often_it_is_sent(world: World) -> None:
    phone = world.client()
    arguments = (JULIET, "", "a@b/c", "@process", 1, 60_000, "m", "chat", "swb", 5000, 1000, "<m/>")

    assert b"ok" == world.call("deliver", *arguments)[0]
    assert b"duplicate" == world.call("deliver", *arguments)[0]
    assert [b"<m/>"] == phone.stanzas()


def test_a_full_queue_overflows_in_order_and_refills_by_acks(small: World) -> None:
    phone = small.client()
    for n in range(1, 8):
        small.deliver(a_message(str(n)))
    seen = []
    while entries := phone.read():
        seen.append(entries[0].stanza)
        phone.ack(int(phone.marks()["acked"]) + 1)

    assert [a_message(str(n)) for n in range(1, 8)] == seen
    assert {"accepted": 7, "acked": 7} == small.fates()


def test_behind_a_full_backlog_the_sender_gets_an_error(small: World) -> None:
    small.client()
    statuses = [small.status(a_message(str(n))) for n in range(8)]

    assert [Status.OK] * 7 + [Status.FULL] == statuses


def test_positions_never_change_when_the_backlog_moves_up(small: World) -> None:
    phone = small.client()
    for n in range(1, 6):
        small.deliver(a_message(str(n)))
    before = phone.read()
    phone.ack(1)

    assert before[1:] == phone.read()[:2]


def test_an_iq_request_waits_in_no_backlog(small: World) -> None:
    phone = small.client()
    for n in range(4):
        small.deliver(a_message(str(n)))

    assert Status.FULL == small.status(b"<iq/>", kind="q", type="get", to="phone", flags="b")
    phone.ack_all()
    assert Status.OK == small.status(b"<iq/>", kind="q", type="get", to="phone", flags="b")


def test_a_chat_state_is_dropped_rather_than_queued_up(small: World) -> None:
    small.client()
    for n in range(4):
        small.deliver(a_message(str(n)))

    assert Status.DROPPED == small.status(b"<composing/>", flags="")


def test_copies_of_a_message_have_one_fate(world: World) -> None:
    phone, tablet = world.client("phone"), world.client("tablet")
    phone.ack_all()
    world.deliver(a_message("hello"))
    phone.ack_all()
    tablet.ack_all()

    assert {"accepted": 1, "acked": 1} == world.fates()


def test_a_message_that_one_session_acked_does_not_come_back_from_another(world: World) -> None:
    phone, tablet = world.client("phone"), world.client("tablet")
    phone.ack_all()
    world.deliver(a_message("hello"))
    phone.ack_all()
    phone.close()
    tablet.close()

    assert [] == world.offline()
    assert {"accepted": 1, "acked": 1} == world.fates()


def test_a_message_that_no_session_acked_comes_back_once(world: World) -> None:
    phone, tablet = world.client("phone"), world.client("tablet")
    phone.ack_all()
    world.deliver(a_message("hello"))
    phone.close()
    tablet.close()

    assert [a_message("hello")] == world.offline()
    assert [] == world.outbox()
    assert {"accepted": 1} == world.fates()


def test_an_entry_keeps_its_kind_flags_and_time(world: World) -> None:
    phone = world.client()
    world.deliver(a_message("a|b|c %d \n"), flags="swub")
    found = phone.read()[0]

    assert (entry.MESSAGE, "swub", a_message("a|b|c %d \n")) == (found.kind, found.flags, found.stanza)
    assert found.stamp_ms >= phone.bound.at_ms


def test_presence_for_a_sleeping_session_waits_beside_its_queue_the_newest_per_sender(world: World) -> None:
    phone = world.client()
    phone.hibernate()
    for n in range(3):
        world.deliver(b"<presence n='%d'/>" % n, kind="p", type="", to="phone", sender="a@b/c")
    world.deliver(b"<presence other=''/>", kind="p", type="", to="phone", sender="a@b/d")
    while_asleep = phone.stanzas()
    awake = phone.taken_over(phone.resume(int(phone.marks()["acked"])))

    assert [] == while_asleep
    assert [b"<presence n='2'/>", b"<presence other=''/>"] == awake.stanzas()


def test_presence_for_a_live_session_waits_for_its_backlog_and_then_comes(small: World) -> None:
    phone = small.client()
    for n in range(4):
        small.deliver(a_message(str(n)))
    small.deliver(b"<presence/>", kind="p", type="", to="phone")

    assert [*(a_message(str(n)) for n in range(4)), b"<presence/>"] == phone.all_that(Client.stanzas)


def test_presence_for_an_overdue_session_comes_when_it_answers_again(world: World) -> None:
    phone = world.client()
    phone.overdue()
    world.deliver(b"<presence/>", kind="p", type="", to="phone")
    while_overdue = phone.stanzas()
    answer = phone.overdue(False)

    assert [] == while_overdue
    assert [b"ok", int(phone.marks()["tail"])] == answer
    assert [b"<presence/>"] == phone.stanzas()


def test_a_thousand_senders_of_presence_are_kept_and_not_more(world: World) -> None:
    phone = world.client()
    phone.hibernate()
    for n in range(1001):
        world.mailbox.deliver(
            user=JULIET, resource="phone", sender=f"a@b/{n}", origin=None, kind="p", type="", flags="", stanza=b"<p/>",
            done=lambda _: None,
        )  # fmt: skip
    world.deliver(b"<p last=''/>", kind="p", type="", to="phone", sender="a@b/0")
    awake = phone.taken_over(phone.resume(int(phone.marks()["acked"])))

    assert 1000 == len(awake.stanzas())
    assert b"<p last=''/>" in awake.stanzas()


def test_a_session_whose_hash_has_vanished_takes_nothing_and_breaks_nothing(world: World) -> None:
    phone = world.client()
    world.redis.delete(f"{world.at}s:{phone.sid}")

    assert Status.OFFLINE == world.status(a_message("hello"))
    assert Status.OFFLINE == world.status(a_message("hello"), to="phone")
    assert "stale" == phone.ack(0)[0]


def counting(world: World) -> Client:
    """A sender whose session counts its stanzas."""
    world.account(ROMEO_BARE)
    romeo = world.bind("orchard", user=ROMEO_BARE)
    romeo.enable()
    return romeo


def marks_of(romeo: Client) -> str:
    """The inbound count that the mailbox has."""
    at = keys.prefix(ROMEO_BARE)
    found: bytes = romeo.world.redis.hget(keys.key(at, "session", romeo.sid), "h")  # type: ignore[assignment]
    return found.decode()


def test_a_delivery_moves_the_sender_s_count_in_the_same_step(world: World) -> None:
    phone, romeo = world.client(), counting(world)
    origin = Origin(romeo.sid, 1, 60_000, romeo.grip)

    first = world.deliver(a_message("one"), origin=origin)
    again = world.deliver(a_message("one"), origin=origin)

    assert (Status.OK, True, Status.DUPLICATE, True) == (first.status, first.is_kept, again.status, again.is_kept)
    assert ("1", 1) == (marks_of(romeo), len(phone.read()))


def test_a_count_does_not_move_past_one_that_has_no_outcome_yet(world: World) -> None:
    world.client()
    romeo = counting(world)

    second = world.deliver(a_message("two"), origin=Origin(romeo.sid, 2, 60_000, romeo.grip))

    assert (Status.OK, False, "0") == (second.status, second.is_kept, marks_of(romeo))


def test_a_refused_delivery_leaves_the_count_to_the_error_that_answers_it(world: World) -> None:
    romeo = counting(world)

    refused = world.deliver(a_message("one"), user="nobody@localhost", origin=Origin(romeo.sid, 1, 60_000, romeo.grip))

    assert (Status.NO_ACCOUNT, False, "0") == (refused.status, refused.is_kept, marks_of(romeo))


def test_a_connection_that_lost_its_session_delivers_nothing_more(world: World) -> None:
    phone, romeo = world.client(), counting(world)
    resumed = world.mailbox.resume(user=ROMEO_BARE, sid=romeo.sid, h=0, owner="another/connection")

    late = world.deliver(a_message("late"), origin=Origin(romeo.sid, 1, 60_000, romeo.grip))

    assert isinstance(resumed, Resumed)
    assert (Status.STALE, []) == (late.status, phone.read())
