"""The HTTP server and its process."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import gevent
import pytest

from gateway.mailbox.embedded import EmbeddedServer
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.journal import Journal
from gateway.process import dies_with_parent
from gateway.settings import ConfigError
from tests.mailbox.world import WAIT_S
from tests.sweeper.builders import wait_for
from workers.web import server as server_module
from workers.web.dashboard import Dashboard
from workers.web.hosts import Hosts
from workers.web.pages import Pages
from workers.web.server import HttpServer
from workers.web.snapshots import PING_S, Snapshots


def pages() -> Pages:
    return Pages(Snapshots(Journal("unix:///nowhere")), Dashboard.load(), Hosts([]))


def test_an_address_that_is_taken_is_a_fault_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(ConfigError, match=f"listen.web: cannot listen on {address}: .*in use"):
            HttpServer(["127.0.0.1:0", address], pages()).start()


def test_several_addresses_serve_the_same() -> None:
    server = HttpServer(["127.0.0.1:0", "[::1]:0"], pages())
    server.start()
    try:
        found = [urllib.request.urlopen(f"http://{address}/", timeout=WAIT_S).status for address in server.addresses]
    finally:
        server.stop()

    assert [200, 200] == found


def test_a_client_that_dawdles_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_S", 0.2)
    server = HttpServer(["127.0.0.1:0"], pages())
    server.start()
    host, _, port = server.addresses[0].rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=WAIT_S) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            ended = client.recv(100)
    finally:
        server.stop()

    assert b"" == ended


def test_a_redis_that_hangs_is_found_out_in_bounded_time(tmp_path: Path) -> None:
    redis = EmbeddedServer(tmp_path)
    redis.start()
    journal = Journal(redis.url)
    journal.start()
    journal.wait_up(WAIT_S)
    process = redis.pid
    assert process is not None
    try:
        subprocess.run(["kill", "-STOP", str(process)], check=True)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            Snapshots(journal).ping()
        took = time.monotonic() - began
    finally:
        subprocess.run(["kill", "-CONT", str(process)], check=True)
        journal.stop()
        redis.stop()

    assert took < PING_S + 5


def test_the_process_serves_and_stops(tmp_path: Path, redis_url: str) -> None:
    config = tmp_path / "wakegate.toml"
    config.write_text(
        f'[server]\ndata_dir = "{tmp_path}/data"\n[listen]\nweb = ["127.0.0.1:0"]\n[redis]\nurl = "{redis_url}"\n'
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "web", "--config", str(config)],
            stdout=log,
            stderr=log,
            cwd=tmp_path,
            preexec_fn=dies_with_parent(),
        )
    try:
        wait_for(lambda: "web_started" in (tmp_path / "log").read_text())
        found = re.search(r"127\.0\.0\.1:\d+", (tmp_path / "log").read_text())
        assert found is not None

        def is_healthy() -> bool:
            try:
                return bool(urllib.request.urlopen(f"http://{found[0]}/healthz", timeout=WAIT_S).status == 200)
            except urllib.error.HTTPError as error:
                error.close()
                return False  # it serves before it has reached Redis, and says so

        wait_for(is_healthy)
        process.terminate()
        with gevent.Timeout(WAIT_S):
            status = process.wait()
    finally:
        process.kill()
        process.wait(10)

    assert 0 == status
