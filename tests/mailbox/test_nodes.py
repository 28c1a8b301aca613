"""reap, tails, heartbeats: what becomes of the sessions of a node that is gone."""

from __future__ import annotations

from typing import Any

from gateway.mailbox import nodes
from gateway.mailbox.model import Resumed
from tests.mailbox.world import World, a_message, a_world, waited


def send(world: World, *texts: str, **options: Any) -> None:
    for text in texts:
        world.deliver(a_message(text), **options)


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

    assert [phone.sid.encode(), int(phone.marks()["tail"]), b"%d" % phone.grip.epoch] == flat


def test_a_nodes_number_moves_and_is_forgotten(world: World) -> None:
    for _ in range(3):
        waited(lambda done: nodes.heartbeat(world.journal, "n1", done))
    nodes.declare_dead(world.journal, "n2")
    alive, dead = nodes.heartbeats(world.journal), nodes.declared_dead(world.journal)
    nodes.forget(world.journal, "n2")
    nodes.leave(world.journal, "n1", 10)

    assert ({"n1": 3}, {"n2"}) == (alive, dead)
    assert ({}, set()) == (nodes.heartbeats(world.journal), nodes.declared_dead(world.journal))
