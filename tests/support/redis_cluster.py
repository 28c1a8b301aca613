"""A real Redis Cluster of valkey-servers on this machine, formed by CLUSTER commands, for tests and for scripts/chaos.

    with RedisCluster(folder, masters=3, replicas=1) as cluster:
        cluster.url                          redis+cluster://127.0.0.1:…,… as [redis] url takes it
        cluster.kill_master(0)               SIGKILL for the master of the first third of the slots; answers which node
        cluster.wait_ok()                    until every living node says that all slots are served again
        cluster.restart(node)                the killed one comes back (empty-handed, as its master's replica)
        cluster.pause(0); cluster.resume()   SIGSTOP and SIGCONT for such a master
        cluster.fail_over(0)                 an orderly change to its replica, as for maintenance
        cluster.migrate(slot, to=1)          the classic way: MIGRATING, IMPORTING, MIGRATE key by key, NODE
        cluster.client(0)                    a redis.Redis on the master of the first third, as an administrator

`n` in all of these is a third (of as many parts as `masters`): whoever is master of its slots now. With `acl=True` the
default user is off and `.url` names a user that may do what docs/operations.md says is needed, no more. With `tls=True`
clients speak TLS, to the certificate in `.certificate`; the server that tests have is built without it, so this process
(which has to be gevent's) ends the TLS before each node, on another address of the loopback network, which is the one
that the cluster announces. A node's death is seen after `node_timeout_ms`; a replica takes over about a second later.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import redis
from gevent.server import StreamServer

from gateway.mailbox.embedded import find_server
from gateway.process import dies_with_parent
from gateway.transports.self_signed import self_signed
from tests.support.loopback import FRONT, lasting_ports, tls_before

SLOTS = 16384

USER, PASSWORD = "wakegate", "cluster secret/1"

ADMIN, ADMIN_PASSWORD = "admin", "admin secret"

ACL_RULES = (
    "resetkeys ~wg:* resetchannels &wg:n:* -@all +@read +@write +@transaction +@connection -@dangerous +fcall +eval "
    "+function|load +function|list +function|delete +cluster|info +cluster|slots +info +role "
    "+spublish +ssubscribe +time +wait"
)
"""what docs/operations.md tells operators to grant"""

WAIT_S = 60.0


@dataclass
class ClusterNode:
    """One server of the cluster."""

    port: int
    bus_port: int
    folder: Path
    id: str = ""
    process: subprocess.Popen[bytes] | None = None
    is_paused: bool = False

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class RedisCluster:
    """See the module's docstring."""

    folder: Path
    masters: int = 3
    replicas: int = 1
    tls: bool = False
    acl: bool = False
    node_timeout_ms: int = 1500
    config: tuple[str, ...] = ()
    """more lines for every server's configuration file"""
    environ: Callable[[int], Mapping[str, str]] = lambda _port: {}
    """what is added to the environment of the server at a port"""
    nodes: list[ClusterNode] = field(default_factory=list)
    _fronts: list[StreamServer] = field(default_factory=list)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the servers and form the cluster: about 3 s."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.tls:
            self.certificate, self._key = self_signed(self.folder, [FRONT])
        with lasting_ports(2 * self.masters * (1 + self.replicas)) as ports:
            pairs = list(zip(ports[::2], ports[1::2], strict=True))
        for port, bus_port in pairs:
            node = ClusterNode(port, bus_port, self.folder / str(port))
            self.nodes.append(node)
            self._launch(node)
            if self.tls:
                self._fronts.append(tls_before(port, self.certificate, self._key))
        self._form()
        self.wait_ok()

    def stop(self) -> None:
        """End all servers at once."""
        for front in self._fronts:
            front.stop(timeout=0)
        self._fronts.clear()
        for node in self.nodes:
            if node.is_alive:
                assert node.process is not None
                node.process.kill()
        for node in self.nodes:
            if node.process is not None:
                node.process.wait(WAIT_S)

    @property
    def url(self) -> str:
        """As `[redis] url` takes it: every node is a seed."""
        return self.url_of(self.nodes)

    def url_of(self, seeds: list[ClusterNode]) -> str:
        """The same with these seeds only."""
        who = f"{USER}:{quote(PASSWORD, safe='')}@" if self.acl else ""
        scheme = "rediss+cluster" if self.tls else "redis+cluster"
        host = FRONT if self.tls else "127.0.0.1"
        return f"{scheme}://{who}" + ",".join(f"{host}:{node.port}" for node in seeds)

    def part(self, n: int) -> range:
        """The slots of part `n`."""
        return range(n * SLOTS // self.masters, (n + 1) * SLOTS // self.masters)

    def master(self, n: int) -> ClusterNode:
        """Who is master of part `n` now, as most of the living say."""
        return self.owner(self.part(n)[0])

    def owner(self, slot: int) -> ClusterNode:
        """Who serves `slot` now."""
        for low, high, (_, port, *_rest), *_replicas in self._asked("CLUSTER", "SLOTS"):
            if low <= slot <= high:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody serves slot {slot}")

    def client(self, n: int) -> Any:
        """A client of the master of part `n`, as an administrator. To be closed by the caller."""
        return self.client_of(self.master(n))

    def client_of(self, node: ClusterNode, **options: Any) -> Any:
        """A client of one node, as an administrator."""
        if self.acl:
            options |= {"username": ADMIN, "password": ADMIN_PASSWORD}
        return redis.Redis(host="127.0.0.1", port=node.port, socket_timeout=5.0, **options)

    def kill_master(self, n: int) -> ClusterNode:
        """SIGKILL for the master of part `n`. Returns at once: `wait_ok` waits for its replica to take over."""
        node = self.master(n)
        assert node.process is not None
        node.process.kill()
        node.process.wait(WAIT_S)
        return node

    def restart(self, node: ClusterNode) -> None:
        """Start a killed node again and wait until it has found its place and, as a replica, its master's data."""
        assert not node.is_alive
        self._launch(node)
        with self._admin(node) as client:
            self._until(f"{node.port} is in sync", lambda: _is_in_sync(client))

    def pause(self, n: int) -> ClusterNode:
        """SIGSTOP for the master of part `n`: it answers nothing, its connections stay."""
        node = self.master(n)
        assert node.process is not None
        node.process.send_signal(signal.SIGSTOP)
        node.is_paused = True
        return node

    def resume(self) -> None:
        """SIGCONT for all who are paused."""
        for node in self.nodes:
            if node.is_paused and node.is_alive:
                assert node.process is not None
                node.process.send_signal(signal.SIGCONT)
            node.is_paused = False

    def fail_over(self, n: int) -> None:
        """Make a replica of part `n` its master, in order and without loss; waits for it."""
        former = self.master(n)
        replica = next(node for node in self._replicas_of(former))
        asked_at = float("-inf")

        def took_over() -> bool:
            nonlocal asked_at
            if time.monotonic() - asked_at > 6.0:  # it gives up after 5 s, as when nodes had no time yet to meet again
                asked_at = time.monotonic()
                with self._admin(replica) as client:
                    client.execute_command("CLUSTER", "FAILOVER")
            return self.master(n) is replica

        self._until("the replica took over", took_over)

    def migrate(
        self,
        slot: int,
        to: int,
        *,
        pause_s: float = 0.0,
        keys_at_once: int = 1,
        wait: Callable[[], object] = lambda: None,
    ) -> None:
        """Move `slot` to the master of part `to` as valkey-cli's reshard does; `pause_s` and `wait` after each."""
        source, target = self.owner(slot), self.master(to)
        if source is target:
            return
        with self._admin(source) as here, self._admin(target) as there:
            there.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
            here.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
            who = ["AUTH2", ADMIN, ADMIN_PASSWORD] if self.acl else []
            while names := here.execute_command("CLUSTER", "GETKEYSINSLOT", slot, keys_at_once):
                here.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, *who, "KEYS", *names)
                time.sleep(pause_s)
                wait()
            there.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target.id)
            here.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        self._until(f"slot {slot} has moved everywhere", lambda: all(o == target.port for o in self._owners(slot)))

    def wait_ok(self) -> None:
        """Until every living node says that all slots are served, by nodes which live, and agrees on by whom."""
        self._until("the cluster is in order", self._is_ok)

    def wait_in_sync(self) -> None:
        """Until every living replica has what its master has."""
        for node in self._living():
            with self._admin(node) as client:
                self._until(f"{node.port} is in sync", lambda: _is_in_sync(client))

    def _form(self) -> None:
        heads, others = self.nodes[: self.masters], self.nodes[self.masters :]
        for n, node in enumerate(self.nodes):
            with self._admin(node) as client:
                node.id = client.execute_command("CLUSTER", "MYID").decode()
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
                if n < self.masters:
                    client.execute_command("CLUSTER", "ADDSLOTSRANGE", self.part(n)[0], self.part(n)[-1])
                for other in self.nodes[:n]:
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus_port)
        for node in self.nodes:
            with self._admin(node) as client:
                self._until("all have met", lambda: len(set(_met(client))) == len(self.nodes))
        for n, node in enumerate(others):
            with self._admin(node) as client:
                client.execute_command("CLUSTER", "REPLICATE", heads[n % self.masters].id)
        self.wait_in_sync()

    def _launch(self, node: ClusterNode) -> None:
        node.folder.mkdir(exist_ok=True)
        file = node.folder / "valkey.conf"
        file.write_text("\n".join([*self._lines(node), *self.config, ""]), encoding="utf-8")
        with (node.folder / "valkey.log").open("ab") as output:
            node.process = subprocess.Popen(
                [str(find_server()), str(file)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, **self.environ(node.port)}, preexec_fn=dies_with_parent(signal.SIGKILL),
            )  # fmt: skip
        with self._admin(node) as client:
            self._until(f"{node.port} answers", lambda: client.ping())

    def _lines(self, node: ClusterNode) -> Iterator[str]:
        yield from (
            "bind 127.0.0.1",
            f"port {node.port}",
            f"dir {node.folder}",
            "logfile valkey.log",
            'save ""',
            "appendonly no",
            "repl-diskless-sync-delay 0",
            "repl-ping-replica-period 1",
            "maxmemory-policy noeviction",
            "cluster-enabled yes",
            f"cluster-port {node.bus_port}",
            f"cluster-node-timeout {self.node_timeout_ms}",
            "cluster-replica-validity-factor 0",
            "cluster-migration-barrier 999",
            "enable-debug-command local",
        )
        if self.tls:
            yield f"cluster-announce-client-ipv4 {FRONT}"
        if self.acl:
            yield from (
                "user default off",
                f'user {ADMIN} on ">{ADMIN_PASSWORD}" ~* &* +@all',
                f'user {USER} on ">{PASSWORD}" {ACL_RULES}',
                f"masteruser {ADMIN}",
                f'masterauth "{ADMIN_PASSWORD}"',
            )

    @contextmanager
    def _admin(self, node: ClusterNode) -> Iterator[Any]:
        client = self.client_of(node)
        try:
            yield client
        finally:
            client.close()

    def _living(self) -> list[ClusterNode]:
        return [node for node in self.nodes if node.is_alive and not node.is_paused]

    def _asked(self, *command: str) -> Any:
        """What one of the living says."""
        deadline = time.monotonic() + WAIT_S
        while True:
            for node in self._living():
                try:
                    with self._admin(node) as client:
                        return client.execute_command(*command)
                except redis.RedisError:
                    if time.monotonic() > deadline:
                        raise

    def _owners(self, slot: int) -> Iterator[int]:
        for node in self._living():
            with self._admin(node) as client:
                for low, high, (_, port, *_rest), *_replicas in client.execute_command("CLUSTER", "SLOTS"):
                    if low <= slot <= high:
                        yield port

    def _replicas_of(self, master: ClusterNode) -> Iterator[ClusterNode]:
        for node in self._living():
            with self._admin(node) as client:
                role = client.execute_command("ROLE")
                if role[0] == b"slave" and role[2] == master.port:
                    yield node

    def _is_ok(self) -> bool:
        ports = {node.port for node in self._living()}
        seen = set()
        for node in self._living():
            with self._admin(node) as client:
                if b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
                    return False
                if not ports <= set(_met(client)):
                    return False
                slots = client.execute_command("CLUSTER", "SLOTS")
                owners = tuple(sorted((low, high, owner[1]) for low, high, owner, *_ in slots))
                if not {owner for _, _, owner in owners} <= ports:
                    return False
                seen.add(owners)
        return len(seen) == 1

    def _until(self, what: str, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                if condition():
                    return
            except (redis.RedisError, OSError, StopIteration):
                pass  # not yet
            assert time.monotonic() < deadline, f"not within {WAIT_S:g} s: {what}; see {self.folder}/*/valkey.log"
            time.sleep(0.02)


def _met(client: Any) -> Iterator[int]:
    """The ports of the nodes with which it is connected, past the handshake, and of which it thinks well."""
    for line in client.execute_command("CLUSTER", "NODES").decode().splitlines():
        _, address, flags, _, _, _, _, link, *_ = line.split(" ")
        if link == "connected" and "handshake" not in flags and "fail" not in flags:
            yield int(address.partition("@")[0].rpartition(":")[2])


def _is_in_sync(client: Any) -> bool:
    role = client.execute_command("ROLE")
    return bool(role[0] == b"master" or role[3] == b"connected")
