"""A whole server on Sentinel: clients stay connected through a failover, and learn of one that lost what they know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.acks import WrongAck
from gateway.demo.client import Client, ResumeFailed
from tests.support.processes import Server, running
from tests.support.redis_sentinel import RedisSentinel


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisSentinel]:
    with RedisSentinel(tmp_path / "redis", password="open-sesame") as redis:
        yield redis


def settings(redis: RedisSentinel, **changed: object) -> dict[str, dict[str, object]]:
    secret = redis.folder / "secret"
    secret.write_text("open-sesame\n", encoding="utf-8")
    secret.chmod(0o600)
    return {"redis": {"url": redis.url_without_password, "password": f"file:{secret}", **changed}}


def clients(server: Server) -> list[Client]:
    return [server.client(account, resource="phone") for account in server.add_accounts(2)]


def say(romeo: Client, juliet: Client, *names: str) -> None:
    for name in names:
        romeo.send_message(juliet.jid, name, name)


def said(juliet: Client) -> list[str]:
    return [message.body for message in juliet.messages]


def test_clients_stay_through_a_failover_unless_it_lost_what_they_know(redis: RedisSentinel, tmp_path: Path) -> None:
    with running(tmp_path / "server", arguments=("gateway",), settings=settings(redis)) as server:
        romeo, juliet = (client.login() for client in clients(server))
        say(romeo, juliet, *"ab")
        romeo.wait_accepted()
        redis.wait_for_replicas(2)
        former = redis.kill_master()
        say(romeo, juliet, "c")
        redis.wait_for_failover(former)
        romeo.wait_accepted(40)
        juliet.wait_messages(3, 40)
        juliet.send_ack()
        redis.wait_for_replicas(1)
        redis.part_replicas()
        say(romeo, juliet, *"de")
        romeo.wait_accepted()
        juliet.wait_messages(5)
        stayed = not romeo.ended.is_set() and not juliet.ended.is_set()
        former = redis.kill_master()
        redis.join_replicas()
        redis.wait_for_failover(former)

        assert romeo.ended.wait(40) and juliet.ended.wait(40)
        with pytest.raises(WrongAck, match="claims h=4: 6 acknowledged"):
            romeo.resume()
        with pytest.raises(ResumeFailed) as told:
            juliet.resume()
        came = said(juliet)
        for client in (romeo, juliet):
            client.cut()
            client.login()
        say(romeo, juliet, *"fg")
        romeo.wait_accepted()
        juliet.wait_messages(7)
        romeo.cut()
        juliet.cut()
        losses = server.log().count("writes_lost")

    assert stayed
    assert list("abcde") == came
    assert 1 == told.value.h
    assert list("abcdefg") == said(juliet)
    assert 2 == losses
