"""A bind, or a resumption, whose answer Redis' death swallowed, and which was sent again: no write was lost by that.

(What was looked at when Redis came back knew nothing of such a session; its mark must not end it when Redis dies the
next time.)
"""

from __future__ import annotations

from gateway.mailbox.model import Bound, Grip, Resumed
from gateway.mailbox.timeline import Claim, Verdict
from tests.mailbox.world import JULIET, World, a_message
from tests.sentinel.old_disk import OldDisk
from tests.sentinel.test_lost_writes import restored, verified


def bind(world: World) -> Grip:
    """Always the same request."""
    bound = world.mailbox.bind(
        user=JULIET, resource="phone", sid="s1", owner="o1", jid_xml=f"{JULIET}/phone", user_xml=JULIET
    )
    assert isinstance(bound, Bound)
    return bound.grip


def test_a_session_whose_bind_was_sent_again_outlives_the_next_death(disk: OldDisk, world: World) -> None:
    bind(world)
    disk.keep()
    restored(disk, world)
    grip = bind(world)
    world.deliver(a_message("1"), to="phone")
    disk.keep()
    restored(disk, world)

    assert [Verdict("ok", 1, 0, 1)] == verified(world, Claim(JULIET, grip, sent=1, acked=0, told=0))


def test_a_session_whose_resumption_was_sent_again_outlives_the_next_death(disk: OldDisk, world: World) -> None:
    phone = world.client()
    world.deliver(a_message("1"))
    phone.hibernate()
    phone.resume(1, owner="o1")
    disk.keep()
    restored(disk, world)
    resumed = phone.resume(1, owner="o1")
    world.deliver(a_message("2"))
    disk.keep()
    restored(disk, world)

    assert isinstance(resumed, Resumed)
    assert [Verdict("ok", 2, 0, 2)] == verified(world, Claim(JULIET, resumed.grip, sent=2, acked=1, told=0))
