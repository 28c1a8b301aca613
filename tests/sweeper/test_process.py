"""The sweeper as a process: killed, stopped, doubled, and left without Redis."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from gateway.mailbox import keys
from gateway.mailbox.embedded import EmbeddedServer
from gateway.mailbox.nodes import Sweep
from gateway.mailbox.settings import OfflineSettings, SmacksSettings
from tests.mailbox.world import Client, World, a_world
from tests.sweeper.builders import (
    a_chat,
    a_sweeper,
    a_sweeper_process,
    lapse,
    received,
    romeo,
    the_error,
    wait_for,
)
from workers.sweeper.bounces import Bouncer


def messages_for_a_lapsed_phone(world: World, count: int) -> Client:
    """`count` messages that have to go back to Romeo, who is there; answers his session."""
    sender = romeo(world)
    phone = world.client("phone")
    world.client("laptop")
    for number in range(count):
        world.deliver(a_chat(number), to="phone")
    lapse(phone)
    return sender


def outbox_length(world: World) -> int:
    return int(world.redis.xlen(keys.key(world.at, "outbox")))  # type: ignore[arg-type]


class KilledBeforePosted(Sweep):
    """Stands for a process that dies between a delivery and its striking off."""

    def posted(self, bucket: int, entry: str) -> None:
        gevent.getcurrent().kill(block=False)
        gevent.sleep(0)


def test_a_sweeper_killed_between_delivering_and_striking_off_doubles_nothing(world: World, redis_url: str) -> None:
    sender = messages_for_a_lapsed_phone(world, 5)
    with a_sweeper(redis_url) as sweeper:
        world.sweep.expire(world.bucket, next(iter(due(world))))
        killed = KilledBeforePosted(world.journal, smacks=SmacksSettings(), offline=OfflineSettings())
        gevent.spawn(Bouncer(world.mailbox, killed, domains=["localhost"]).empty, world.bucket).join(20)
        waiting, delivered = outbox_length(world), len(received(sender))
        sweeper.round()

    assert (5, 5) == (waiting, delivered)
    assert [the_error(number) for number in range(5)] == received(sender)
    assert 0 == outbox_length(world)


def due(world: World) -> list[str]:
    found: list[bytes] = world.redis.zrange(keys.key(world.at, "due"), 0, -1)  # type: ignore[assignment]
    return [sid.decode() for sid in found]


@pytest.mark.slow
def test_sweepers_killed_while_they_bounce_lose_and_double_nothing(world: World, tmp_path: Path) -> None:
    count = 450
    sender = messages_for_a_lapsed_phone(world, count)
    kills = 0
    while due(world) or outbox_length(world):
        with a_sweeper_process(tmp_path, world.url) as process:
            before = outbox_length(world) or count
            wait_for(lambda: not due(world) and outbox_length(world) < before)  # noqa: B023 - called in this turn only
            process.kill()
            kills += 1

    assert [the_error(number) for number in range(count)] == received(sender)
    assert kills > 1


def test_two_sweepers_at_once_bounce_each_message_once(world: World, tmp_path: Path) -> None:
    sender = messages_for_a_lapsed_phone(world, 250)
    with ExitStack() as stack:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            stack.enter_context(a_sweeper_process(tmp_path / name, world.url))
        wait_for(lambda: not due(world) and not outbox_length(world))

    assert [the_error(number) for number in range(250)] == received(sender)
    assert 250 == world.fates()["bounced"]


def test_a_sweeper_that_is_asked_to_stop_ends_with_status_0(redis_url: str, tmp_path: Path) -> None:
    with a_sweeper_process(tmp_path, redis_url) as process:
        wait_for(lambda: "sweeper_started" in process.log())
        status = process.terminate()

    assert 0 == status
    assert "sweeper_stopped" in process.log()


def test_a_sweeper_stops_also_while_redis_is_away(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    try:
        with a_sweeper_process(tmp_path, server.url) as process:
            wait_for(lambda: "sweeper_started" in process.log())
            server.stop()
            wait_for(lambda: "redis_lost" in process.log())

            assert 0 == process.terminate()
    finally:
        server.stop()


def test_without_redis_a_sweeper_waits_for_it(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    server.stop()
    with a_sweeper_process(tmp_path, server.url) as process:
        wait_for(lambda: "redis_lost" in process.log())
        server.start()
        try:
            with a_world(server.url) as world:
                world.account()
                phone = world.client("phone")
                lapse(phone)
                wait_for(lambda: {} == phone.marks())
        finally:
            server.stop()
