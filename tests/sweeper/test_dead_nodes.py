"""Whose sessions are put to sleep because their node died, and whose are not."""

from __future__ import annotations

import time
from pathlib import Path

import gevent
import pytest

from gateway.mailbox import nodes
from gateway.mailbox.embedded import EmbeddedServer
from tests.mailbox.world import World, a_world, waited
from tests.sweeper.builders import a_chat, a_sweeper, wait_for
from workers.sweeper.sweeper import Sweeper

# A connection that the journal tries in vain leaves its socket to the garbage collector.
AWAY = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def beat(world: World) -> None:
    waited(lambda done: nodes.heartbeat(world.journal, world.node, done))


def known(world: World) -> bool:
    return world.node in nodes.heartbeats(world.journal)


def test_a_node_that_its_supervisor_saw_die_loses_its_sessions_at_once(world: World, sweeper: Sweeper) -> None:
    beat(world)
    phone = world.client("phone")
    phone.register()
    world.deliver(a_chat())
    nodes.declare_dead(world.journal, world.node)
    sweeper.round()

    assert "asleep" == phone.marks()["state"]
    assert ["hibernation"] == world.reasons()
    assert (False, set()) == (known(world), nodes.declared_dead(world.journal))


def test_a_dead_nodes_session_without_stream_management_ends_and_its_messages_wait_offline(
    world: World, sweeper: Sweeper
) -> None:
    phone = world.bind("phone")
    phone.presence()
    world.deliver(a_chat())
    nodes.declare_dead(world.journal, world.node)
    sweeper.round()
    sweeper.round()

    assert {} == phone.marks()
    assert [a_chat()] == world.offline()


def test_a_node_that_stopped_beating_is_reaped_after_its_lease(world: World, redis_url: str) -> None:
    beat(world)
    phone = world.client("phone")
    with a_sweeper(redis_url, lease_s=0.3) as sweeper:
        sweeper.round()
        first = phone.marks()["state"]
        wait_for(lambda: sweeper.round() or not known(world))

    assert ("live", "asleep") == (first, phone.marks()["state"])


def test_a_node_that_is_slow_but_alive_keeps_its_sessions(world: World, redis_url: str) -> None:
    phone = world.client("phone")
    with a_sweeper(redis_url, lease_s=0.2) as sweeper:
        until = time.monotonic() + 0.8
        while time.monotonic() < until:
            beat(world)
            sweeper.round()
            gevent.sleep(0.05)

    assert "live" == phone.marks()["state"]
    assert known(world)


def test_one_nodes_death_is_not_the_others(world: World, sweeper: Sweeper, redis_url: str) -> None:
    phone = world.client("phone")
    with a_world(redis_url, node="n2") as other:
        beat(other)
        tablet = other.client("tablet")
        nodes.declare_dead(world.journal, world.node)
        sweeper.round()

        assert ("asleep", "live") == (phone.marks()["state"], tablet.marks()["state"])
        assert known(other)


def test_a_reaped_node_that_lives_after_all_can_do_no_harm(world: World, sweeper: Sweeper) -> None:
    phone = world.client("phone")
    world.deliver(a_chat())
    nodes.declare_dead(world.journal, world.node)
    sweeper.round()
    answer = phone.ack(int(phone.marks()["tail"]))

    assert "stale" == answer[0]


@AWAY
def test_an_outage_of_redis_costs_no_living_node_its_sessions(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, appendfsync="always")
    server.start()
    try:
        with a_world(server.url) as world, a_sweeper(server.url, lease_s=0.5) as sweeper:
            world.account()
            phone = world.client("phone")
            beat(world)
            sweeper.round()
            server.stop()
            down = time.monotonic()
            wait_for(lambda: time.monotonic() > down + 0.6)
            server.start()
            sweeper._journal.wait_up(20)
            sweeper.round()

            assert known(world)
            assert "live" == phone.marks()["state"]
    finally:
        server.stop()


@AWAY
def test_a_sweeper_works_on_after_redis_was_away(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, appendfsync="always")
    server.start()
    try:
        with a_world(server.url) as world, a_sweeper(server.url) as sweeper:
            world.account()
            phone = world.client("phone")
            sweeper.start()
            server.stop()
            wait_for(lambda: not sweeper._journal.is_up)
            server.start()
            world.journal.wait_up(20)
            nodes.declare_dead(world.journal, world.node)
            wait_for(lambda: "asleep" == phone.marks()["state"])
            sweeper.stop()
    finally:
        server.stop()
