"""hibernate, resume: of several owners one has the session, and the client's count is what it goes on from."""

from __future__ import annotations

import gevent
import pytest

from gateway.mailbox import keys
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.mailbox import RESUME_TRIES
from gateway.mailbox.model import NotResumed, Resumed
from tests.mailbox.world import CHAT, JULIET, Client, World, a_message, a_world


def send(world: World, *texts: str) -> None:
    for text in texts:
        world.deliver(a_message(text))


def test_only_what_was_enabled_with_resumption_hibernates(world: World) -> None:
    phone = world.bind()
    phone.enable(is_resumable=False)

    assert "not-resumable" == phone.hibernate()


def test_hibernating_twice_keeps_the_first_deadline(world: World) -> None:
    phone = world.client()
    phone.hibernate()
    deadline = phone.marks()["deadline"]

    assert "ok" == phone.hibernate()
    assert deadline == phone.marks()["deadline"]


def test_a_device_with_push_is_kept_for_longer(world: World) -> None:
    phone = world.bind()
    phone.enable(max_ms=1000, push_max_ms=9000)
    phone.register()

    assert "9000" == phone.marks()["max"]
    assert 9000 == phone.enable(max_ms=1000, push_max_ms=9000)


def test_a_resumed_session_goes_on_where_the_client_says(world: World) -> None:
    phone = world.client()
    send(world, "1", "2", "3")
    phone.handled(7)
    phone.hibernate()
    send(world, "4")
    answer = phone.resume(2)
    assert isinstance(answer, Resumed)
    awake = phone.taken_over(answer)

    assert (2, 7, 2, 4, "phone", 0, "") == (
        answer.grip.epoch, answer.inbound, answer.acked, answer.tail, answer.resource, answer.priority,
        answer.former_node,
    )  # fmt: skip
    assert [a_message("3"), a_message("4")] == awake.stanzas()


def test_counts_on_the_wire_begin_at_the_base(world: World) -> None:
    phone = world.bind()
    phone.presence()
    phone.ack_all()
    send(world, "1", "2", "3")
    phone.enable(base=3)
    phone.hibernate()
    answer = phone.resume(1)
    assert isinstance(answer, Resumed)

    assert (4, 4, 3) == (answer.acked, answer.tail, answer.base)


def test_counts_go_on_through_two_to_the_32(world: World) -> None:
    phone = world.client()
    start = 2**32 - 2
    world.redis.hset(f"{world.at}s:{phone.sid}", mapping={"tail": start, "acked": start})
    send(world, "1", "2", "3")
    phone.hibernate()
    answer = phone.resume(0)  # two stanzas after 2^32 - 2
    assert isinstance(answer, Resumed)

    assert (2**32, 2**32 + 1) == (answer.acked, answer.tail)
    assert [a_message("3")] == phone.taken_over(answer).stanzas()


@pytest.mark.parametrize("h", [3, 2**32 - 1, 2**31, 0])
def test_a_count_that_cannot_be_is_refused_and_the_session_stays(world: World, h: int) -> None:
    phone = world.client()
    send(world, "1", "2")
    phone.ack(1)
    phone.handled(4)
    phone.hibernate()
    expected = NotResumed(h=4, tail=2)

    assert expected == phone.resume(h)
    assert isinstance(phone.resume(1), Resumed)


def test_a_session_is_resumed_for_its_own_account_only(world: World) -> None:
    phone = world.client()
    phone.hibernate()
    other = next(user for user in (f"u{n}@localhost" for n in range(10_000)) if world.at == keys.prefix(user))
    world.account(other)
    stranger = world.mailbox.resume(user=other, sid=phone.sid, h=0, owner="x")

    assert NotResumed() == stranger
    assert isinstance(phone.resume(0), Resumed)


def test_an_unknown_session_is_unknown(world: World) -> None:
    assert NotResumed() == world.mailbox.resume(user=JULIET, sid="never", h=0, owner="x")


def test_what_was_not_enabled_for_resumption_is_not_resumed(world: World) -> None:
    phone = world.bind()

    assert NotResumed() == phone.resume(0)


def test_of_two_resumes_at_once_exactly_one_wins(world: World) -> None:
    phone = world.client()
    phone.hibernate()
    epoch = world.call("peek", phone.sid)
    first = world.call("resume", JULIET, phone.sid, epoch, 0, "n1", "o1", 5000, 1000)
    second = world.call("resume", JULIET, phone.sid, epoch, 0, "n2", "o2", 5000, 1000)

    assert (b"ok", b"lost") == (first[0], second[0])


def test_a_session_whose_dead_node_is_reaped_between_peek_and_resume_is_resumed(world: World) -> None:
    phone = world.client()
    epoch = world.call("peek", phone.sid)
    world.sweep.reap(world.bucket, "n1")

    answer = world.call("resume", JULIET, phone.sid, epoch, 0, "n2", "o2", 5000, 1000)

    assert b"ok" == answer[0]


def test_many_resumes_at_once_leave_one_owner(world: World) -> None:
    phone = world.client()
    phone.hibernate()

    def resume() -> Resumed | NotResumed | None:
        try:
            return phone.resume(0)
        except StoreUnavailable:
            return None

    greenlets = [gevent.spawn(resume) for _ in range(20)]
    gevent.joinall(greenlets, timeout=20, raise_error=True)
    won = [g.value for g in greenlets if isinstance(g.value, Resumed)]
    epoch = int(phone.marks()["epoch"])

    assert NotResumed() not in [g.value for g in greenlets]
    assert len(won) == epoch - 1 == RESUME_TRIES
    assert [epoch] == [r.grip.epoch for r in won if phone.taken_over(r).ack(0)[0] == "ok"]


def test_a_client_that_tries_again_is_not_told_that_its_session_is_gone_because_its_first_try_had_it(
    world: World,
) -> None:
    """As when Redis was away for longer than clients wait: both tries are answered at the same moment."""
    phone = world.client()
    send(world, "1")
    phone.hibernate()
    tries = [gevent.spawn(phone.resume, 0) for _ in range(2)]
    gevent.joinall(tries, timeout=20, raise_error=True)
    first, second = (one.value for one in tries)

    assert ("stale", 0) == phone.taken_over(first).ack(1)
    assert "ok" == phone.taken_over(second).ack(1)[0]
    assert "n1" == second.former_node


def test_a_live_session_is_taken_over_and_its_owner_is_fenced_out(world: World) -> None:
    phone = world.client()
    send(world, "1")
    with a_world(world.url, node="n2") as other:
        answer = phone.resume(0, world=other)
        assert isinstance(answer, Resumed)
        awake = phone.taken_over(answer, other)

        assert "n1" == answer.former_node
        assert ("stale", 0) == phone.ack(1)
        assert "stale" == phone.append(b"<late/>")[0]
        assert "stale" == phone.hibernate()
        assert () == phone.close()
        assert not phone.handled(9)
        assert [] == phone.read(1)
        assert [a_message("1")] == awake.stanzas()


def test_resuming_sent_twice_answers_the_same(world: World) -> None:
    phone = world.client()
    send(world, "1", "2")
    first = phone.resume(1, owner="me")

    assert first == phone.resume(1, owner="me")
    assert "2" == phone.marks()["epoch"]


def test_resuming_lets_the_backlog_move_up(small: World) -> None:
    phone = small.client()
    for n in range(5):
        small.deliver(a_message(str(n)))
    phone.hibernate()
    awake = phone.taken_over(phone.resume(3))

    assert [a_message("3"), a_message("4")] == awake.stanzas()


def _all_of(client: Client) -> list[bytes]:
    seen = []
    while entries := client.read():
        seen += [entry.stanza for entry in entries]
        client.ack_all()
    return seen


def test_nothing_is_lost_or_doubled_over_many_links_that_break(small: World) -> None:
    """A client that acks less than it got has the rest again; what it acked never comes back."""
    phone, got = small.client(), []
    for n in range(12):
        small.deliver(a_message(str(n)), flags=CHAT)
        if n % 3 == 2:
            entry = phone.read()[0]
            got.append(entry.stanza)
            phone.hibernate()
            phone = phone.taken_over(phone.resume(int(phone.marks()["acked"]) + 1))
        elif n % 3 == 1:
            got.append(phone.read()[0].stanza)
            phone.ack(int(phone.marks()["acked"]) + 1)
    got += _all_of(phone)

    assert [a_message(str(n)) for n in range(12)] == got
