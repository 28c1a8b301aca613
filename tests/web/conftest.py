"""Fixtures of the web process's tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest

from gateway.mailbox.journal import Journal
from tests.mailbox.world import WAIT_S, World, a_world
from workers.web.dashboard import Dashboard
from workers.web.hosts import Hosts
from workers.web.pages import Pages
from workers.web.server import HttpServer
from workers.web.snapshots import Snapshots


class Answer:
    """What came back: status, headers with names in lower case, body."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Answer]


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    """A node with the account juliet@localhost."""
    with a_world(redis_url) as world:
        world.account()
        yield world


def ask_over(journal: Journal, components: tuple[str, ...] = ()) -> Iterator[Ask]:
    """Starts the pages on a free port; gives a function that asks for one."""
    pages = Pages(Snapshots(journal, components=components), Dashboard.load(), Hosts(["wakegate.example"]))
    server = HttpServer(["127.0.0.1:0"], pages)
    server.start()

    def ask(path: str, method: str = "GET", **headers: str) -> Answer:
        host, _, port = server.addresses[0].rpartition(":")
        connection = HTTPConnection(host, int(port), timeout=WAIT_S)
        try:
            connection.request(method, path, headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    try:
        yield ask
    finally:
        server.stop()


@pytest.fixture
def ask(world: World) -> Iterator[Ask]:
    """Asks for a page over HTTP."""
    yield from ask_over(world.journal)
