"""A real master, two replicas and three sentinels that watch them: processes of this machine, on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import gevent
import redis

from gateway.mailbox.embedded import find_server
from gateway.process import dies_with_parent

SERVICE: Final = "wakegate"

DOWN_AFTER_MS: Final = 1000
"""how long a master is silent before a sentinel takes it for dead"""

PATIENCE_S: Final = 30.0


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on at the moment."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


class RedisSentinel:
    """One master, `replicas` replicas, three sentinels, with their files in `folder`. `start`, then `stop`.

    `options` are added to the configuration of each server, what `environ` says of its port to its environment;
    `password` is that of the servers ("" = none).
    """

    def __init__(
        self,
        folder: Path,
        *,
        replicas: int = 2,
        password: str = "",
        options: tuple[str, ...] = (),
        appendfsync: str = "everysec",
        environ: Callable[[int], Mapping[str, str]] = lambda _port: {},
    ) -> None:
        self.folder = folder
        self._password = password
        self._environ = environ
        self._options = (*options, f"appendfsync {appendfsync}")
        ports = free_ports(replicas + 4)
        self.server_ports, self.sentinel_ports = ports[: replicas + 1], ports[replicas + 1 :]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._first = self.server_ports[0]

    @property
    def url(self) -> str:
        """For `[redis] url`."""
        return self.url_without_password.replace("//", f"//:{self._password}@" if self._password else "//")

    @property
    def url_without_password(self) -> str:
        """The same for who has the password from elsewhere."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    def start(self) -> None:
        """Start all, and wait until the replicas have the master's data and the sentinels know of one another."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for port in self.server_ports:
            self.start_server(port, replica_of=None if port == self._first else self._first)
        self.wait(lambda: self._answers(self._first))
        self.wait(lambda: len(self._replicas_in_step(self._first)) == len(self.server_ports) - 1)
        for port in self.sentinel_ports:
            self._start_sentinel(port)
        self.wait(lambda: all(self._is_ready(port) for port in self.sentinel_ports))

    def stop(self) -> None:
        """End every process."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def __enter__(self) -> RedisSentinel:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def master_port(self) -> int:
        """Of the server that most sentinels name."""
        named = [port for port in map(self._named_by, self.sentinel_ports) if port]
        return max(set(named), key=named.count)

    def client(self, port: int = 0) -> redis.Redis:
        """A plain client of one server; of the master if none is named."""
        return redis.Redis(port=port or self.master_port, password=self._password or None, socket_timeout=2.0)

    def pid(self, port: int) -> int:
        """The process that listens there."""
        return self._processes[port].pid

    def kill_master(self) -> int:
        """kill -9; answers its port."""
        return self.kill(self.master_port)

    def kill(self, port: int) -> int:
        """kill -9 of any server or sentinel."""
        process = self._processes.pop(port)
        process.kill()
        process.wait()
        return port

    def pause_master(self) -> int:
        """The master hangs until `go_on`; answers its port."""
        port = self.master_port
        os.kill(self.pid(port), signal.SIGSTOP)
        return port

    def go_on(self, port: int) -> None:
        """End a pause."""
        os.kill(self.pid(port), signal.SIGCONT)

    def part_replicas(self) -> None:
        """From now on no replica gets what is written: it cannot log in at the master any more. `join_replicas` ends
        it for those that are still there.
        """
        for port in self._replica_ports():
            self.client(port).config_set("masterauth", "not the password")
        self.client().client_kill_filter(_type="replica")
        self.wait(lambda: not self._replicas_in_step(self.master_port))

    def join_replicas(self) -> None:
        """Let replicas log in again."""
        for port in self._processes.keys() & set(self.server_ports):
            self.client(port).config_set("masterauth", self._password)

    def _replica_ports(self) -> list[int]:
        return [port for port in self.server_ports if port in self._processes and port != self.master_port]

    def wait_for_failover(self, former: int) -> int:
        """Wait until most sentinels name another master than `former`, and it says so itself; answers its port."""

        def has_changed() -> bool:
            port = self.master_port
            return port != former and self.is_master(port)

        self.wait(has_changed)
        return self.master_port

    def restart(self, port: int) -> None:
        """Start a killed server again; it becomes a replica as soon as a sentinel notices it."""
        self.start_server(port, replica_of=None)
        self.wait(lambda: self._answers(port))

    def wait_for_replicas(self, n: int) -> None:
        """Wait until so many replicas have all that the master has."""
        self.wait(lambda: len(self._replicas_in_step(self.master_port)) >= n)

    def start_server(self, port: int, *, replica_of: int | None) -> None:
        """Start one server on its files."""
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {self._home(port)}",
            "appendonly yes",
            "save ''",
            "repl-diskless-sync yes",
            "repl-diskless-sync-delay 0",
            *self._options,
        ]
        if self._password:
            lines += [f"requirepass {self._password}", f"masterauth {self._password}"]
        if replica_of is not None:
            lines.append(f"replicaof 127.0.0.1 {replica_of}")
        self._spawn(port, lines)

    def _start_sentinel(self, port: int) -> None:
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {self._home(port)}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {self._first} 2",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} 2000",
            f"sentinel parallel-syncs {SERVICE} 2",
        ]
        if self._password:
            lines.append(f"sentinel auth-pass {SERVICE} {self._password}")
        self._spawn(port, lines, "--sentinel")

    def _home(self, port: int) -> Path:
        home = self.folder / str(port)
        home.mkdir(exist_ok=True)
        return home

    def _spawn(self, port: int, lines: list[str], *options: str) -> None:
        home = self._home(port)
        configuration = home / "redis.conf"
        if not configuration.exists():  # servers and sentinels write into it what they learn
            configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")
        with (home / "log").open("ab") as log:
            self._processes[port] = subprocess.Popen(
                [find_server(), configuration, *options],
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environ(port)},
                preexec_fn=dies_with_parent(signal.SIGKILL),
            )

    def _answers(self, port: int) -> bool:
        try:
            return bool(self.client(port).ping())
        except redis.RedisError:
            return False

    def is_master(self, port: int) -> bool:
        """Whether it says so itself, as a replica does before the sentinels name it."""
        return self._role(port) == "master"

    def _role(self, port: int) -> str:
        try:
            info: Any = self.client(port).info("replication")
        except redis.RedisError:
            return ""
        return str(info["role"])

    def _replicas_in_step(self, port: int) -> list[str]:
        """States of the replicas that the server at `port` feeds."""
        try:
            info: Any = self.client(port).info("replication")
        except redis.RedisError:
            return []
        offset = info["master_repl_offset"]
        found = [info.get(f"slave{n}") for n in range(len(self.server_ports))]
        return [each["state"] for each in found if each and each["state"] == "online" and each["offset"] >= offset]

    def _sentinel(self, port: int, *command: str) -> Any:
        try:
            with redis.Redis(port=port, socket_timeout=1.0) as client:
                return client.execute_command(*command)
        except redis.RedisError:
            return None

    def _named_by(self, port: int) -> int:
        found = self._sentinel(port, "SENTINEL GET-MASTER-ADDR-BY-NAME", SERVICE)
        return int(found[1]) if found else 0

    def _is_ready(self, port: int) -> bool:
        flat = self._sentinel(port, "SENTINEL MASTER", SERVICE)
        if not isinstance(flat, dict | list):
            return False
        said = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
        text = {_text(name): _text(value) for name, value in said.items()}
        wanted = (str(len(self.server_ports) - 1), str(len(self.sentinel_ports) - 1))
        return wanted == (text.get("num-slaves"), text.get("num-other-sentinels"))

    @staticmethod
    def wait(condition: Callable[[], bool]) -> None:
        """Wait for it; AssertionError if it does not come."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "the sentinels did not get so far"
            gevent.sleep(0.05)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
