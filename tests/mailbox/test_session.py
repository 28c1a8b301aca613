"""bind, presence, append, read, ack: a session is a cursor over a durable queue."""

from __future__ import annotations

import pytest

from gateway.mailbox.model import NotResumed
from tests.mailbox.world import JULIET, World, a_message, a_world


def send(world: World, *texts: str) -> None:
    for text in texts:
        world.deliver(a_message(text))


# bind


def test_binding_needs_an_account(world: World) -> None:
    answer = world.mailbox.bind(
        user="nobody@localhost",
        resource="x",
        sid="s",
        owner="o",
        jid_xml="nobody@localhost/x",
        user_xml="nobody@localhost",
    )

    assert "no-account" == answer


def test_an_account_has_so_many_sessions_and_a_known_resource_is_none_more(redis_url: str) -> None:
    with a_world(redis_url, sessions=2) as world:
        world.account()
        world.bind("one")
        world.bind("two")
        third = world.mailbox.bind(user=JULIET, resource="three", sid="s3", owner="o", jid_xml="x", user_xml="y")

        assert "too-many" == third
        assert "sid-n1-1" == world.bind("one").bound.replaced


def test_binding_sent_twice_is_one_session(world: World) -> None:
    old = world.client("phone")
    arguments = (JULIET, "phone", "new", "n1", "owner", "j/p", "j", 50, 10, 5000, 1000)

    assert world.call("bind", *arguments)[:4] == world.call("bind", *arguments)[:4]
    assert [old.sid.encode(), b"n1"] == world.call("bind", *arguments)[2:4]
    assert "stale" == old.ack(0)[0]


def test_a_resource_may_hold_any_character(world: World) -> None:
    odd = "a|b %s %d '\"<&>\n x\\"
    first = world.bind(odd)
    first.presence()
    send(world, "hello")
    second = world.bind(odd)
    second.presence()

    assert first.sid == second.bound.replaced
    assert [a_message("hello")] == second.stanzas()
    assert [odd] == [line.resource for line in world.accounts.sessions(JULIET)]


@pytest.mark.parametrize("is_asleep", [False, True])
def test_a_new_session_of_a_resource_inherits_what_the_old_one_did_not_ack(world: World, is_asleep: bool) -> None:
    old = world.client("phone")
    send(world, "1", "2")
    old.ack(1)
    if is_asleep:
        old.hibernate()
    send(world, "3")
    new = world.bind("phone")
    before_presence = new.stanzas()
    new.presence()

    assert [] == before_presence
    assert [a_message("2"), a_message("3")] == new.stanzas()
    assert isinstance(old.resume(1), NotResumed)


def test_what_comes_before_the_first_presence_stays_behind_what_was_inherited(world: World) -> None:
    world.client("phone")
    send(world, "1")
    new = world.bind("phone")
    world.deliver(a_message("2"), to="phone")
    new.presence()

    assert [a_message("1"), a_message("2")] == new.stanzas()


def test_an_iq_answer_does_not_wait_for_the_first_presence(world: World) -> None:
    world.client("phone")
    send(world, "1")
    new = world.bind("phone")
    new.append(b"<iq type='result'/>", inbound=1)

    assert [b"<iq type='result'/>"] == new.stanzas()


def test_an_iq_request_asked_of_the_old_session_is_bounced(world: World) -> None:
    world.client("phone")
    world.deliver(b"<iq type='get'/>", kind="q", type="get", to="phone", flags="b")
    send(world, "1")
    new = world.bind("phone")
    new.presence()

    assert [a_message("1")] == new.stanzas()
    assert [b"<iq type='get'/>"] == world.outbox()


def test_others_hear_that_a_replaced_session_is_gone(world: World) -> None:
    tablet, _old = world.client("tablet"), world.client("phone")
    tablet.ack_all()
    new = world.bind("phone")

    assert [tablet.sid] == [placed.sid for placed in new.bound.placed]
    assert [b"<presence from='juliet@localhost/phone' to='juliet@localhost' type='unavailable'/>"] == tablet.stanzas()


def test_copies_stay_copies_when_they_are_inherited(world: World) -> None:
    phone, tablet = world.client("phone"), world.client("tablet")
    phone.ack_all()
    send(world, "1")
    tablet.ack_all()
    new = world.bind("phone")
    new.close()

    assert [] == world.offline()
    assert {"accepted": 1, "acked": 1} == world.fates()


# presence and the offline store


def test_the_first_presence_lets_offline_messages_in_oldest_first(world: World) -> None:
    send(world, "1", "2")
    phone = world.bind()
    tail, former, _placed = phone.presence()

    assert (3, None) == (tail, former)  # its own presence is the first
    assert [a_message("1"), a_message("2")] == phone.stanzas()
    assert [] == world.offline()


def test_a_negative_priority_lets_nothing_in_until_it_is_raised(world: World) -> None:
    send(world, "1")
    phone = world.bind()
    phone.presence(-1)
    before = phone.stanzas()
    phone.presence(0)

    assert [] == before
    assert [a_message("1")] == phone.stanzas()


def test_offline_messages_come_after_what_was_inherited(world: World) -> None:
    world.client("phone")
    send(world, "1", "2")
    new = world.bind("phone")
    send(world, "3", "4", "5")  # nobody is available now: stored offline
    new.presence()

    assert [a_message(n) for n in "12345"] == new.stanzas()


def test_more_offline_messages_than_the_queue_holds_come_at_the_clients_pace(redis_url: str) -> None:
    with a_world(redis_url, queue=3, quota=2500) as world:
        world.account()
        for n in range(2500):
            world.deliver(a_message(str(n)), flags="sb")
        phone = world.bind()
        phone.presence()
        seen = []
        while entries := phone.read():
            assert 3 >= len(entries)
            seen += [entry.stanza for entry in entries if entry.stanza != phone.own]
            phone.ack_all()

        assert [a_message(str(n)) for n in range(2500)] == seen


def test_an_offline_message_is_gone_only_when_it_was_acked(world: World) -> None:
    send(world, "1")
    phone = world.bind()
    phone.presence()
    phone.close()

    assert [a_message("1")] == world.offline()


def test_presence_is_told_to_resources_of_any_priority(world: World) -> None:
    quiet, phone = world.client("quiet", priority=-1), world.bind("phone")
    _tail, _former, placed = phone.presence(0, b"<presence from='phone'/>")

    assert [quiet.sid, phone.sid] == [each.sid for each in placed]
    assert [b"<presence to='juliet@localhost' from='phone'/>"] == quiet.stanzas()


def test_a_newcomer_is_told_who_is_there(world: World) -> None:
    world.client("tablet", priority=None).presence(1, b"<presence from='tablet'/>")
    phone = world.bind("phone")
    phone.presence()

    assert [b"<presence to='juliet@localhost' from='tablet'/>"] == phone.stanzas()


def test_presence_sent_twice_is_told_once(world: World) -> None:
    tablet, phone = world.client("tablet"), world.bind("phone")
    arguments = (phone.sid, 1, "0", 5000, 1000, "<presence/>", 10**6)

    assert world.call("presence", *arguments)[:3] == world.call("presence", *arguments)[:3]
    assert [b"<presence to='juliet@localhost'/>"] == [entry.stanza for entry in tablet.read()]


# append, read, handled


def test_an_append_with_its_inbound_count_is_taken_once(world: World) -> None:
    phone = world.client()

    assert ("ok", 1, 1) == phone.append(b"<iq/>", inbound=1)
    assert ("duplicate", 0, 1) == phone.append(b"<iq/>", inbound=1)
    assert "1" == phone.marks()["h"]


def test_an_append_without_a_count_sent_twice_is_taken_once(world: World) -> None:
    phone = world.client()
    arguments = (phone.sid, 1, "r", "", "", 5000, 1000, "<iq/>", 10**6)

    assert [b"ok", 1, 1] == world.call("append", *arguments)
    assert [b"duplicate", 0, 1] == world.call("append", *arguments)


def test_the_next_owner_may_append_whatever_number_its_process_has_reached(world: World) -> None:
    phone = world.client()
    world.call("append", phone.sid, 1, "r", "", "", 5000, 1000, "<iq/>", 10**6)
    phone.hibernate()
    with a_world(world.url, node="n2") as other:
        resumed = phone.taken_over(phone.resume(0, world=other), other)

        assert "ok" == resumed.append(b"<iq n='2'/>")[0]


def test_an_answer_that_did_not_fit_leaves_the_inbound_count(small: World) -> None:
    phone = small.client()
    for n in range(7):
        small.deliver(a_message(str(n)))

    assert ("full", 0, 0) == phone.append(b"<iq/>", inbound=1)
    assert "0" == phone.marks()["h"]


def test_the_servers_own_message_goes_ahead_of_a_backlog_that_waits_for_presence(world: World) -> None:
    world.client("phone")
    send(world, "1")
    new = world.bind("phone")

    assert ("ok", 1, 1) == new.append(b"<message type='error'/>", kind="m")


def test_the_servers_own_message_has_a_fate_like_any_other(world: World) -> None:
    phone = world.client()
    phone.append(b"<message type='error'/>", kind="m")
    phone.ack_all()

    assert {"accepted": 1, "acked": 1} == world.fates()


def test_read_answers_from_a_position_so_many_entries_and_bytes(world: World) -> None:
    phone = world.client()
    send(world, *(str(n) for n in range(1, 121)))

    def read(position: int, most: int, most_bytes: int) -> list[bytes]:
        reply = world.call("read", phone.sid, 1, position, most, most_bytes)
        return [entry.split(b"|", 3)[3] for entry in reply[2:]]

    assert [a_message(str(n)) for n in range(1, 121)] == read(1, 1000, 10**6)
    assert [a_message("119"), a_message("120")] == read(119, 10, 10**6)
    assert [a_message("5"), a_message("6")] == read(5, 2, 10**6)
    assert [a_message("5")] == read(5, 100, 1)
    assert [] == read(121, 10, 10**6)


def test_the_inbound_count_never_goes_back(world: World) -> None:
    phone = world.client()
    phone.handled(5)

    assert phone.handled(3)
    assert "5" == phone.marks()["h"]


# ack


def test_an_ack_takes_entries_off_and_leaves_the_rest(world: World) -> None:
    phone = world.client()
    send(world, "1", "2", "3")

    assert ("ok", 3) == phone.ack(2)
    assert [a_message("3")] == phone.stanzas()
    assert {"accepted": 3, "acked": 2} == world.fates()


def test_an_ack_beyond_the_tail_is_refused_and_changes_nothing(world: World) -> None:
    phone = world.client()
    send(world, "1")

    assert ("too-high", 1) == phone.ack(2)
    assert [a_message("1")] == phone.stanzas()


def test_an_ack_sent_twice_or_late_changes_nothing_more(world: World) -> None:
    phone = world.client()
    send(world, "1", "2", "3")
    phone.ack(2)

    assert ("ok", 3) == phone.ack(2)
    assert ("ok", 3) == phone.ack(1)
    assert {"accepted": 3, "acked": 2} == world.fates()


def test_an_ack_that_comes_after_hibernation_counts_within_its_epoch(world: World) -> None:
    phone = world.client()
    send(world, "1", "2")
    phone.hibernate()
    late = phone.ack(1)
    phone.resume(1)

    assert ("ok", 2) == late
    assert ("stale", 0) == phone.ack(2)


def test_enabling_counts_what_the_socket_took_before_as_done(world: World) -> None:
    phone = world.bind()
    phone.presence()
    phone.ack_all()
    send(world, "1", "2", "3")
    phone.enable(base=3)

    assert [a_message("3")] == phone.stanzas()
    assert {"accepted": 3, "acked": 2} == world.fates()


def test_enabling_lets_the_backlog_move_up(small: World) -> None:
    phone = small.bind()
    phone.presence()
    phone.ack_all()
    for n in range(5):
        small.deliver(a_message(str(n)))
    phone.enable(base=4)

    assert [a_message("3"), a_message("4")] == phone.stanzas()


def test_a_base_beyond_the_tail_is_no_more_than_the_tail(world: World) -> None:
    phone = world.bind()
    phone.enable(base=100)
    send(world, "1")
    world.deliver(a_message("2"), to="phone")

    assert [a_message("2")] == phone.stanzas()


def test_the_backlog_of_a_session_without_presence_moves_up_by_acks(small: World) -> None:
    phone = small.client(priority=None)
    for n in range(5):
        small.deliver(a_message(str(n)), to="phone")
    phone.ack(3)

    assert [a_message("3"), a_message("4")] == phone.stanzas()
