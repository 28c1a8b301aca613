"""The embedded server: real processes, real files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from gateway.mailbox import embedded
from gateway.mailbox.embedded import DataDirInUseError, EmbeddedServer, EmbeddedServerError, resolve, socket_path

OWNER = """
import sys, time
from pathlib import Path
from gateway.mailbox.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


def an_owner_in_another_process(data_dir: Path) -> tuple[subprocess.Popen[str], int]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    return owner, int(owner.stdout.readline())


def end(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait(10)
    for pipe in (owner.stdin, owner.stdout):
        if pipe is not None:
            pipe.close()


def set_and_read_back(url: str, value: str) -> bytes | None:
    client = redis.Redis.from_url(url)
    client.set("k", value)
    found = client.get("k")
    client.close()
    assert found is None or isinstance(found, bytes)
    return found


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)


def test_data_outlives_a_stop_and_a_start(tmp_path: Path) -> None:
    first = EmbeddedServer(tmp_path)
    first.start()
    set_and_read_back(first.url, "kept")
    first.stop()
    second = EmbeddedServer(tmp_path)
    second.start()
    client = redis.Redis.from_url(second.url)
    found = client.get("k")
    client.close()
    second.stop()

    assert b"kept" == found


def test_it_writes_an_append_only_file_and_evicts_nothing(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, appendfsync="always")
    server.start()
    client = redis.Redis.from_url(server.url)
    names = ("appendonly", "appendfsync", "maxmemory-policy", "port", "save")
    configured = {name: client.config_get(name)[name] for name in names}
    client.close()
    server.stop()

    assert {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "port": "0",
        "save": "",
    } == configured


def test_a_second_server_on_the_same_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "OWNER_TIMEOUT_S", 0.05)
    owner, _ = an_owner_in_another_process(tmp_path)
    try:
        with pytest.raises(DataDirInUseError, match=f"process {owner.pid}"):
            EmbeddedServer(tmp_path).start()
    finally:
        end(owner)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death signal is Linux' own")
def test_it_dies_with_an_owner_that_was_killed(tmp_path: Path) -> None:
    owner, server_pid = an_owner_in_another_process(tmp_path)

    end(owner)

    assert wait_until_gone(server_pid)


def test_a_start_replaces_an_orphan_that_did_not_die(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_TIMEOUT_S", 0.2)
    owner, orphan_pid = an_owner_in_another_process(tmp_path)
    # A stopped process gets no SIGTERM delivered: the worst kind of orphan, silent, holding the files.
    os.kill(orphan_pid, signal.SIGSTOP)
    end(owner)
    server = EmbeddedServer(tmp_path)
    server.start()
    found = set_and_read_back(server.url, "works")
    server.stop()

    assert b"works" == found
    assert wait_until_gone(orphan_pid)


def test_a_command_uses_the_running_server(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    with embedded.temporary(tmp_path) as url:
        set_and_read_back(url, "same")
    still_runs = server.pid is not None
    server.stop()

    assert still_runs


def test_a_command_starts_a_server_for_as_long_as_it_needs_one(tmp_path: Path) -> None:
    with embedded.temporary(tmp_path) as url:
        found = set_and_read_back(url, "alone")

    assert b"alone" == found
    assert not embedded.is_answering(tmp_path)


def test_a_path_too_long_for_a_socket_gets_a_short_one(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    server = EmbeddedServer(deep)
    server.start()
    found = set_and_read_back(server.url, "deep")
    server.stop()

    assert b"deep" == found
    assert 100 >= len(os.fsencode(socket_path(deep)))


def test_a_server_that_cannot_read_its_files_is_a_clear_error(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    set_and_read_back(server.url, "x")
    server.stop()
    for file in (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof"):
        file.write_bytes(b"*not an append-only file\r\n")

    with pytest.raises(EmbeddedServerError, match="ended at its start; last line of"):
        EmbeddedServer(tmp_path).start()


def test_urls_of_other_servers_are_passed_through(tmp_path: Path) -> None:
    assert "rediss://db.example:6380/1" == resolve("rediss://db.example:6380/1", tmp_path)
