"""Our clients against HTTP/2 servers that we did not write: nghttpd (nghttp2), Hypercorn (h2), mockttp (Node)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gevent.pool import Pool as Crowd

from tests.push.builders import a_push
from tests.push.sleeping import wait_until
from tests.push.test_http2 import ask
from tests.support.node import node_directory, node_environment
from workers.push.apps import Apps
from workers.push.http2.origin import Origin
from workers.push.http2.pool import Pool, PoolRules
from workers.push.outcome import Delivered, Later, Outcome, TokenGone
from workers.push.provider import Provider
from workers.push.reply import Reply
from workers.push.settings import AppSettings, PushSettings
from workers.push.standing import standing_of
from workers.push.token_store import LocalTokenStore
from workers.sandbox.material import KEY_ID, TEAM_ID, TOPIC, Material, prepare

__all__ = ["node_directory"]


@pytest.fixture
def material(tmp_path: Path) -> Material:
    """Keys and certificates."""
    return prepare(tmp_path)


def a_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A server, from when it listens."""
    process = subprocess.Popen(
        command, cwd=cwd, env=node_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        if port:
            wait_until(lambda: _listens(port) or process.poll() is not None, timeout_s=60)
        yield process
    finally:
        process.kill()
        process.communicate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def send_all(provider: Provider, tokens: list[str], crowd: int = 50) -> tuple[list[Outcome], list[str]]:
    """Outcomes, and the push ids."""
    pushes = [a_push(token=token, collapse_id="c" * 36) for token in tokens]
    return Crowd(crowd).map(provider.send, pushes), [push.push_id for push in pushes]


# nghttpd


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--max-concurrent-streams=1"],
        ["--window-bits=8", "--connection-window-bits=16"],
        ["--padding=100", "--trailer=a: b"],
        ["--early-response"],
        ["--header-table-size=0", "--encoder-header-table-size=0"],
    ],
    ids=lambda options: " ".join(options) or "plain",
)
def test_nghttpd_answers_each_request_once(material: Material, tmp_path: Path, options: list[str]) -> None:
    nghttpd = shutil.which("nghttpd")
    if nghttpd is None:
        pytest.skip("nghttpd is not installed (Debian: apt-get install nghttp2-server)")
    port, pem = a_port(), str(material.server_file)
    if "--early-response" not in options:
        options = [*options, "--echo-upload"]
    (tmp_path / "index.html").write_text("hello")
    command = [nghttpd, "-a", "127.0.0.1", "-d", str(tmp_path), *options, str(port), pem, pem]
    with running(command, port):
        pool = Pool(Origin("127.0.0.1", port, ca_file=str(material.ca_file)), rules=PoolRules())
        bodies = [f"{number:05}".encode() * 800 for number in range(200)]
        replies = Crowd(60).map(lambda body: ask(pool, body=body, timeout_s=60.0), bodies)
        pool.close()

    assert Counter({200: 200}) == Counter(reply.status for reply in replies if isinstance(reply, Reply))
    assert [b"hello"] * 200 == [reply.body for reply in replies] or bodies == [reply.body for reply in replies]


# Hypercorn


@contextmanager
def hypercorn(material: Material, *, per_connection: int, protocols: str = "h2,http/1.1") -> Iterator[int]:
    port, pem = a_port(), str(material.server_file)
    options = [str(port), pem, pem, str(per_connection), protocols]
    with running([sys.executable, "-m", "tests.push.servers.asgi", *options], port):
        yield port


def an_apns_app(material: Material, port: int) -> AppSettings:
    return AppSettings(
        provider="apns",
        topic=TOPIC,
        team_id=TEAM_ID,
        key_id=KEY_ID,
        key_file=str(material.apns_key_file),
        endpoint=f"https://127.0.0.1:{port}",
        ca_file=str(material.ca_file),
    )


@contextmanager
def the_provider(app: AppSettings) -> Iterator[Provider]:
    apps = Apps(PushSettings(apps={"chat": app}, request_timeout=60.0), store=LocalTokenStore())
    yield apps["chat"]
    apps.close()


def seen_by(material: Material, port: int) -> list[str]:
    pool = Pool(Origin("127.0.0.1", port, ca_file=str(material.ca_file)), rules=PoolRules())
    headers = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"x"), (b":path", b"/seen")]
    reply = pool.request([(name, value, False) for name, value in headers], b"", timeout_s=30.0)
    pool.close()
    assert isinstance(reply, Reply)
    found: list[str] = json.loads(reply.body)
    return found


def test_apns_pushes_go_through_hypercorns_goaways(material: Material) -> None:
    """Hypercorn says GOAWAY for streams that it has taken, and answers none of them: those are sent once more, with the
    same id.
    """
    tokens = [f"{'dead' if number % 10 == 0 else 'beef'}{number:060x}" for number in range(500)]
    with hypercorn(material, per_connection=100) as port, the_provider(an_apns_app(material, port)) as provider:
        outcomes, ids = send_all(provider, tokens)
        seen = Counter(seen_by(material, port))
    expected = [
        TokenGone(1_700_000_000_000, "Unregistered") if number % 10 == 0 else Delivered for number in range(500)
    ]

    assert expected == [Delivered if isinstance(outcome, Delivered) else outcome for outcome in outcomes]
    assert {push for number, push in enumerate(ids) if number % 10} == set(seen)
    assert max(seen.values()) <= 2


@pytest.mark.parametrize("protocols", ["h2,http/1.1", "http/1.1"])
def test_fcm_pushes_go_to_hypercorn_over_either_http(material: Material, protocols: str) -> None:
    with hypercorn(material, per_connection=100, protocols=protocols) as port:
        material.point_service_account_to(f"https://127.0.0.1:{port}/token")
        app = AppSettings(
            provider="fcm",
            service_account_file=str(material.service_account_file),
            endpoint=f"https://127.0.0.1:{port}",
            ca_file=str(material.ca_file),
        )
        with the_provider(app) as provider:
            outcomes, _ = send_all(provider, [f"device-{number}" for number in range(250)])
            gone = provider.send(a_push(token="dead-device"))
            is_http2 = standing_of(provider, provider.breaker).connections == 1

    assert [Delivered("projects/p/messages/1")] * 250 == outcomes
    assert TokenGone(None, "UNREGISTERED") == gone
    assert (protocols != "http/1.1") is is_http2


# mockttp


def test_apns_pushes_to_mockttp_are_answered_once_each(material: Material, node_directory: Path) -> None:
    ca_file = str(material.directory / "mockttp.pem")
    with running(["node", "mockttp_apns.cjs", ca_file], 0, cwd=node_directory) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        app = replace(an_apns_app(material, port), endpoint=f"https://localhost:{port}", ca_file=ca_file)
        with the_provider(app) as provider:
            gone, reset, busy = (provider.send(a_push(token=word * 16)) for word in ("dead", "beef", "feed"))
            many, ids = send_all(provider, [f"{number:064x}" for number in range(200)])
        seen: list[dict[str, Any]] = json.loads(process.communicate("", timeout=30)[0])

    assert TokenGone(1_700_000_000_000, "Unregistered") == gone
    assert [Later(None, "no answer: stream reset, code 2"), Later(None, "ServiceUnavailable")] == [reset, busy]
    assert [Delivered] * 200 == [type(outcome) for outcome in many]
    assert Counter(ids) == Counter(one["id"] for one in seen if one["id"] in set(ids))
    assert {("alert", "2.0")} == {(one["type"], one["http"]) for one in seen}
