"""Whatever is killed, a publish that was answered wakes its phone, and one that was not can be made again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from gateway.xmpp import ns
from tests.support.component_host import DOMAIN, SECRET, Peer
from tests.support.processes import Server
from tests.support.sandbox import WITH_SANDBOX, accepted_pushes, pushes

DEVICES = 24


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


@pytest.fixture
def server(tmp_path: Path, peer: Peer) -> Iterator[Server]:
    settings: dict[str, dict[str, Any]] = {
        "push": {"floor": 0, "request_timeout": 2},
        "appserver": {"retry_most": 1, "tokens_per_hour": 1000, "devices": 1000},
        f'appserver.servers."{DOMAIN}"': {"port": peer.port, "secret": SECRET},
    }
    server = Server(tmp_path, arguments=WITH_SANDBOX, settings=settings)
    try:
        yield server.start()
    finally:
        server.stop()


def form(**fields: str) -> str:
    inner = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in fields.items())
    return f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{inner}</x>"


def register(number: int) -> str:
    return (
        f"<iq type='set' id='r{number}' from='u{number}@peer.example/phone' to='{DOMAIN}'>"
        f"<command xmlns='{ns.COMMANDS}' node='register' action='execute'>"
        f"{form(app='demo-ios', token=token(number))}</command></iq>"
    )


def token(number: int) -> str:
    return f"{number + 1:064x}"


def publish(number: int, node: str, secret: str) -> str:
    summary = form(FORM_TYPE=ns.PUSH_SUMMARY, **{"message-count": "1", "last-message-body": "hi"})
    return (
        f"<iq type='set' id='p{number}' from='peer.example' to='{DOMAIN}'><pubsub xmlns='{ns.PUBSUB}'>"
        f"<publish node='{node}'><item><notification xmlns='{ns.PUSH}'>{summary}</notification></item></publish>"
        f"<publish-options>{form(secret=secret)}</publish-options></pubsub></iq>"
    )


def registered(peer: Peer) -> dict[int, tuple[str, str]]:
    """Node and secret of each device."""
    found: dict[int, tuple[str, str]] = {}
    for number in range(DEVICES):
        peer.send(register(number))
        answer = peer.until("</iq>")
        node, secret = (re.search(f"var='{name}'[^>]*><value>(.*?)<", answer) for name in ("node", "secret"))
        assert node is not None, answer
        assert secret is not None, answer
        found[number] = (node[1], secret[1])
    return found


def publish_until(peer: Peer, server: Server, nodes: dict[int, tuple[str, str]], *, kills: list[str]) -> set[int]:
    """What the peer does that has a new message for each device, while processes are killed; answers which of the
    publishes were answered.
    """
    waiting = sorted(nodes)
    answered: set[int] = set()
    while waiting:
        batch = waiting[:4]
        try:
            for number in batch:
                peer.send(publish(number, *nodes[number]))
            if kills:
                gevent.sleep(0.002 * len(kills))
                server.kill(kills.pop())
            while any(number in waiting for number in batch):
                type_, id_ = peer.next_answer()
                if type_ == "result" and id_.startswith("p"):
                    answered.add(int(id_[1:]))
                    waiting = [number for number in waiting if number != int(id_[1:])]
        except (OSError, EOFError):
            peer.welcome()
    return answered


@pytest.mark.slow
def test_what_was_answered_is_pushed_whatever_is_killed(server: Server, peer: Peer) -> None:
    peer.welcome()
    server.wait(lambda: "Wakegate is ready" in server.log(), "all processes")
    nodes = registered(peer)
    answered = publish_until(peer, server, nodes, kills=["appserver", "push", "appserver", "push", "appserver"])
    tokens = [token(number) for number in answered]
    server.wait(lambda: all(accepted_pushes(server, name) for name in tokens), "every phone's push", 60.0)
    accepted = [push for push in pushes(server) if push["status"] == 200]

    assert DEVICES == len(answered)
    assert set(tokens) == {push["token"] for push in accepted}
