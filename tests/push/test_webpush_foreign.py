"""Our client against a push service that somebody else wrote: web-push-testing, from npm."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import gevent
import pytest

from gateway.mailbox.pushes import Registration
from tests.push.builders import a_push
from tests.support.node import node_directory, node_environment
from workers.push.apps import Apps
from workers.push.notification import Content, Push
from workers.push.outcome import Delivered, Refused, TokenGone
from workers.push.provider import Provider
from workers.push.providers.webpush.keys import new_key
from workers.push.settings import AppSettings, PushSettings
from workers.push.token_store import LocalTokenStore

__all__ = ["node_directory"]


@pytest.fixture(scope="module")
def port(node_directory: Path) -> Iterator[int]:
    """Where it listens."""
    command = ["node", "web_push_server.cjs"]
    with subprocess.Popen(
        command, cwd=node_directory, env=node_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        with gevent.Timeout(60):
            listening = int(process.stdout.readline())
        yield listening
        process.stdin.close()


@pytest.fixture(scope="module")
def vapid(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A key file and its public half."""
    file = tmp_path_factory.mktemp("vapid") / "vapid.pem"
    return str(file), new_key(file)


@pytest.fixture
def provider(vapid: tuple[str, str]) -> Iterator[Provider]:
    app = AppSettings(
        provider="webpush", vapid_key_file=vapid[0], vapid_subject="mailto:admin@example.org", allow_private=True
    )
    apps = Apps(PushSettings(apps={"chat": app}), store=LocalTokenStore())
    yield apps["chat"]
    apps.close()


def ask(port: int, path: str, **form: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
        body = connection.getresponse().read()
    finally:
        connection.close()
    return json.loads(body)["data"] if body.startswith(b"{") else None


def subscribed(port: int, key: str, **fields: Any) -> Push:
    """A push for somebody who has just subscribed."""
    found = ask(port, "/subscribe", userVisibleOnly="true", applicationServerKey=key)
    registration = Registration(
        service="s", node="n", sid="", resource="r", app="chat", token=found["endpoint"], **found["keys"]
    )
    return a_push(token=found["endpoint"], registration=registration, **fields)


def messages(port: int, push: Push) -> list[Any]:
    name = urlsplit(push.token).path.rpartition("/")[2]
    return [json.loads(text) for text in ask(port, "/get-notifications", clientHash=name)["messages"]]


def test_it_believes_the_token_and_reads_the_message(provider: Provider, port: int, vapid: tuple[str, str]) -> None:
    push = subscribed(port, vapid[1], count=2, body="wherefore — art thou", content=Content.BODY)
    outcome = provider.send(push)

    assert isinstance(outcome, Delivered)
    assert [{"kind": "message", "count": 2, "push_id": push.push_id, "body": "wherefore — art thou"}] == messages(
        port, push
    )


def test_it_reads_the_longest_message_there_is(provider: Provider, port: int, vapid: tuple[str, str]) -> None:
    push = subscribed(port, vapid[1], body="x" * 20_000, content=Content.BODY)
    provider.send(push)
    (message,) = messages(port, push)

    assert 3900 < len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()) <= 3993


def test_a_subscription_that_expired_is_gone(provider: Provider, port: int, vapid: tuple[str, str]) -> None:
    push = subscribed(port, vapid[1])
    ask(port, f"/expire-subscription/{urlsplit(push.token).path.rpartition('/')[2]}")

    assert TokenGone(None, "status 410") == provider.send(push)


def test_another_server_may_not_push_to_a_subscription(provider: Provider, port: int, tmp_path: Path) -> None:
    push = subscribed(port, new_key(tmp_path / "other.pem"))

    assert Refused("status 400", alert=True) == provider.send(push)
    assert [] == messages(port, push)


def test_a_message_for_other_keys_is_not_accepted(provider: Provider, port: int, vapid: tuple[str, str]) -> None:
    one, other = subscribed(port, vapid[1]), subscribed(port, vapid[1])

    assert Refused("status 400", alert=True) == provider.send(a_push(token=one.token, registration=other.registration))
