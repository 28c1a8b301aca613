"""A Redis that comes back with old data: nothing is given a second time under a number that a client knows."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest

from gateway.cli.status import as_text
from gateway.mailbox import timeline
from gateway.mailbox.dial import ask_all
from gateway.mailbox.model import NotResumed, Origin, Resumed
from gateway.mailbox.overview import collect
from gateway.mailbox.redis_url import source
from gateway.mailbox.timeline import Claim, Verdict
from tests.mailbox.world import JULIET, Client, World, a_message, a_world
from tests.sentinel.old_disk import OldDisk


def verified(world: World, *claims: Claim, node: str = "") -> list[Verdict]:
    """What the owner of sessions is told on its next connection."""
    with source(world.url).dial(10.0) as connection:
        found = timeline.verify(partial(ask_all, connection), claims, node or world.node, world.mailbox.end_arguments)
    return [verdict for _, verdict in found]


def deliver(world: World, *names: str) -> None:
    for name in names:
        world.deliver(a_message(name))


def restored(disk: OldDisk, world: World) -> None:
    """Redis is back with old data, and this process has connected to it."""
    disk.come_back()
    assert b"PONG" == world.journal.call("PING", timeout_s=20.0)


def phone_in(world: World) -> Client:
    phone = world.client()
    phone.handled(5)
    deliver(world, "1", "2")
    return phone


def test_a_session_that_lost_nothing_goes_on(disk: OldDisk, world: World) -> None:
    phone = phone_in(world)
    disk.keep()
    restored(disk, world)
    deliver(world, "3")

    assert [Verdict("ok", 2, 5, 3)] == verified(world, Claim(phone.user, phone.grip, sent=2, acked=0, told=5))
    assert "kept" not in phone.marks()
    assert [a_message("1"), a_message("2"), a_message("3")] == phone.stanzas()


def test_positions_that_were_given_to_other_messages_end_the_session_and_these_are_kept(
    disk: OldDisk, world: World
) -> None:
    phone = phone_in(world)
    disk.keep()
    deliver(world, "lost 3", "lost 4")
    restored(disk, world)
    deliver(world, "new 3", "new 4", "new 5")  # another process was faster: the tail tells nothing any more

    assert [Verdict("behind", 2, 5, 5)] == verified(world, Claim(phone.user, phone.grip, sent=4, acked=1, told=5))
    assert NotResumed(h=5) == phone.resume(4)
    assert [a_message(name) for name in ("2", "new 3", "new 4", "new 5")] == world.offline()
    assert {"sessions": "1", "delivered": "2"} == world.hash("losses")


def test_a_count_that_the_client_was_told_and_that_is_lost_ends_the_session(disk: OldDisk, world: World) -> None:
    phone = phone_in(world)
    disk.keep()
    phone.handled(9)
    restored(disk, world)

    assert [Verdict("behind", 2, 5, 2)] == verified(world, Claim(phone.user, phone.grip, sent=2, acked=2, told=9))
    assert NotResumed(h=5) == phone.resume(2)
    assert [] == world.offline()
    assert {"sessions": "1", "acknowledged": "4"} == world.hash("losses")


def test_an_acknowledgement_that_was_lost_is_taken_again(disk: OldDisk, world: World) -> None:
    phone = phone_in(world)
    disk.keep()
    phone.ack(2)
    restored(disk, world)

    assert [Verdict("ok", 2, 5, 2)] == verified(world, Claim(phone.user, phone.grip, sent=2, acked=2, told=5))
    assert [] == phone.stanzas()


def test_a_session_whose_resumption_was_lost_ends(disk: OldDisk, world: World) -> None:
    phone = phone_in(world)
    phone.hibernate()
    disk.keep()
    phone = phone.taken_over(phone.resume(2))
    deliver(world, "lost 3")
    restored(disk, world)
    deliver(world, "new 3")

    assert [Verdict("behind", 3, 5, 3)] == verified(world, Claim(phone.user, phone.grip, sent=3, acked=2, told=5))
    assert NotResumed(h=5) == phone.resume(3)
    assert [a_message("new 3")] == world.offline()


def test_a_session_whose_bind_was_lost_is_gone(disk: OldDisk, world: World) -> None:
    disk.keep()
    phone = phone_in(world)
    restored(disk, world)

    assert [Verdict("gone", 0, 0, 0)] == verified(world, Claim(phone.user, phone.grip, sent=2, acked=0, told=5))


def test_who_asks_again_after_a_loss_hears_of_it_again(disk: OldDisk, world: World) -> None:
    """As after a connection that was lost before the first answer arrived."""
    phone = phone_in(world)
    disk.keep()
    deliver(world, "lost 3")
    restored(disk, world)
    claim = Claim(phone.user, phone.grip, sent=3, acked=0, told=5)

    assert ["behind", "gone"] == [verified(world, claim)[0].status for _ in range(2)]


@pytest.mark.parametrize(
    ("sent", "told", "epochs", "status"),
    [(2, 5, 0, "stale"), (3, 5, 0, "gone"), (2, 6, 0, "gone"), (2, 5, 1, "gone")],
    ids=["nothing lost", "a position", "a count", "a resumption"],
)
def test_a_session_that_ended_in_order_meanwhile_lost_only_what_its_end_did_not_keep(
    disk: OldDisk, world: World, sent: int, told: int, epochs: int, status: str
) -> None:
    """As when a bind of the same resource, which its client had given up, was executed late."""
    phone = phone_in(world)
    disk.keep()
    restored(disk, world)
    world.client("phone")

    grip = dataclasses.replace(phone.grip, epoch=phone.grip.epoch + epochs)
    assert [Verdict(status, 2, 5, 2)] == verified(world, Claim(phone.user, grip, sent=sent, acked=0, told=told))


def test_a_session_that_another_node_took_over_meanwhile_is_left_to_it(disk: OldDisk, world: World) -> None:
    phone = phone_in(world)
    disk.keep()
    restored(disk, world)
    with a_world(world.url, node="n2") as other:
        assert isinstance(phone.resume(2, world=other), Resumed)

    assert [Verdict("stale", 2, 5, 2)] == verified(world, Claim(phone.user, phone.grip, sent=2, acked=0, told=5))


@pytest.mark.parametrize("h", [2, 4])
def test_a_client_whose_gateway_died_as_well_resumes_only_up_to_what_was_there(
    disk: OldDisk, world: World, h: int
) -> None:
    phone = phone_in(world)
    disk.keep()
    deliver(world, "lost 3", "lost 4")
    restored(disk, world)
    deliver(world, "new 3", "new 4")
    world.sweep.reap(world.bucket, world.node)
    resumed = phone.resume(h)

    assert (NotResumed(h=5) == resumed) == (h > 2)
    if isinstance(resumed, Resumed):
        assert [a_message("new 3"), a_message("new 4")] == phone.taken_over(resumed).stanzas()
        assert "kept" not in phone.marks()


def test_a_socket_that_was_lost_with_the_writes_is_no_way_round(disk: OldDisk, world: World) -> None:
    phone = phone_in(world)
    disk.keep()
    phone.handled(9)
    restored(disk, world)
    world.mailbox.hibernate(phone.grip, sent=2, told=9)

    assert NotResumed(h=5) == phone.resume(2)
    assert {"acknowledged": "4"} == world.hash("losses")


def test_what_was_not_answered_is_sent_again_and_taken_once(disk: OldDisk, world: World) -> None:
    phone = phone_in(world)
    sender = world.bind("balcony", user=JULIET)
    origin = Origin(sender.sid, 1, 60_000)
    world.deliver(a_message("3"), origin=origin)
    disk.keep()
    restored(disk, world)
    again = world.deliver(a_message("3"), origin=origin)

    assert "duplicate" == again.status
    assert [a_message("1"), a_message("2"), a_message("3")] == phone.stanzas()


def test_a_server_is_surveyed_once_for_each_of_its_starts(disk: OldDisk, world: World) -> None:
    phone = phone_in(world)
    with a_world(world.url, node="n2"):  # connects, and finds that it was done
        assert "kept" not in phone.marks()
    disk.die()
    disk.server.start()
    world.journal.call("PING", timeout_s=20.0)
    deliver(world, "3")
    with a_world(world.url, node="n2"):
        assert "2" == phone.marks()["kept"]


def test_losses_are_on_the_page_that_operators_look_at(disk: OldDisk, world: World) -> None:
    phone = phone_in(world)
    disk.keep()
    phone.handled(9)
    restored(disk, world)
    verified(world, Claim(phone.user, phone.grip, sent=4, acked=2, told=9))
    found = collect(world.journal, 0.0)

    assert {"acknowledged": 4, "delivered": 2, "sessions": 1} == found.losses
    assert "LOST BY REDIS" in as_text(found.to_json())
