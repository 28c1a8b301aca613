"""What one push costs its worker: sleeping phones get a message each, and a fresh worker pushes them to the sandbox."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import gevent
import msgspec
import psutil
from bench_host import free_port, start
from gevent.event import AsyncResult

from gateway.mailbox.accounts import Accounts
from gateway.mailbox.embedded import resolve
from gateway.mailbox.journal import Journal
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Bound
from gateway.mailbox.pushes import Pushes, Registration
from gateway.mailbox.settings import OfflineSettings, SmacksSettings
from workers.sandbox.material import KEY_ID, TEAM_ID, TOPIC

APNS, FCM, FIREBASE = "apns", "fcm", "firebase-admin"
PROVIDERS = (APNS, FCM, FIREBASE)

SLOW_PER_S = 200
"""events a second in the second measurement, where hardly any two are handled together"""


class Host(Protocol):
    """What is needed of the server under test."""

    config: Path
    redis: psutil.Process


def push(host: Host, provider: str, count: int) -> dict[str, Any]:
    """CPU of worker and Redis for one push: from a backlog, and one by one. `firebase-admin`: Google's own sending."""
    with ExitStack() as stack:
        addresses = stack.enter_context(sandbox(host.config.parent))
        if provider == FIREBASE:
            return firebase(addresses, count)
        journal = stack.enter_context(connected(host))
        town = Town(journal)
        names = [f"{provider}{number}@localhost" for number in range(count + count // 4)]
        for name in names:
            town.sleeping_phone(name)
        load = os.getloadavg()[0]
        for name in names[:count]:
            town.message(name)
        with worker(host, addresses, provider) as process:
            backlog = measure(host, process, Pushes(journal), count // 5, count - count // 20)
            wait_for(Pushes(journal), count)
            sender = gevent.spawn(town.messages, names[count:], per_s=SLOW_PER_S)
            slow = measure(host, process, Pushes(journal), count + len(names[count:]) // 10, len(names) - 5)
            sender.join()
        return {"pushes": count, **backlog, **{f"slow_{name}": value for name, value in slow.items()}, "load": load}


@contextmanager
def connected(host: Host) -> Iterator[Journal]:
    """Redis."""
    journal = Journal(resolve("embedded", host.config.parent))
    journal.start()
    try:
        yield journal
    finally:
        journal.stop()


def measure(host: Host, process: psutil.Process, pushes: Pushes, first: int, last: int) -> dict[str, Any]:
    """CPU per push between the `first` and the `last` delivered one, and how many a second."""
    begun = wait_for(pushes, first)
    before, redis_before, at = cpu(process), cpu(host.redis), time.monotonic()
    ended = wait_for(pushes, last)
    after, redis_after, took = cpu(process), cpu(host.redis), time.monotonic() - at
    many = ended - begun
    return {
        "worker_us": round((after - before) / many * 1e6),
        "redis_us": round((redis_after - redis_before) / many * 1e6),
        "per_s": round(many / took),
    }


def wait_for(pushes: Pushes, many: int) -> int:
    """Until so many are delivered; answers how many are."""
    deadline = time.monotonic() + 120
    while (delivered := pushes.counters().get("delivered", 0)) < many:
        if time.monotonic() > deadline:
            raise SystemExit(f"only {delivered} of {many} pushes were delivered: {pushes.counters()}")
        gevent.sleep(0.02)
    return delivered


def cpu(process: psutil.Process) -> float:
    """CPU seconds used so far."""
    return float(sum(process.cpu_times()[:2]))


@contextmanager
def sandbox(folder: Path) -> Iterator[dict[str, str]]:
    """Apple and Google, as a process."""
    ports = [free_port() for _ in range(4)]
    names = ("--apns", "--apns-development", "--fcm", "--control")
    where = [part for name, port in zip(names, ports, strict=True) for part in (name, f"127.0.0.1:{port}")]
    process = start(["sandbox", "--data-dir", str(folder), *where], folder / "log")
    try:
        found: dict[str, str] = json.loads((folder / "sandbox" / "addresses.json").read_text())
        yield found
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def worker(host: Host, addresses: dict[str, str], provider: str) -> Iterator[psutil.Process]:
    """One push worker."""
    apns = f"""topic = "{TOPIC}"
team_id = "{TEAM_ID}"
key_id = "{KEY_ID}"
key_file = "{addresses["apns_key_file"]}"
endpoint = "{addresses["apns_endpoint"]}"
"""
    fcm = f"""service_account_file = "{addresses["service_account_file"]}"
endpoint = "{addresses["fcm_tls_endpoint"]}"
"""
    config = host.config.with_name("push.toml")
    config.write_text(
        # Room for all that waits: what is put off comes back by the sweeper, which does not run here.
        f'[push]\nin_flight = 10000\n[push.apps.chat]\nprovider = "{provider}"\nca_file = "{addresses["ca_file"]}"\n'
        + (apns if provider == APNS else fcm)
    )
    process = start(["push", "--config", str(host.config), "--config", str(config)], config.with_name("log"))
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def firebase(addresses: dict[str, str], count: int) -> dict[str, Any]:
    """Google's library in a process of its own, unpatched: its messages, its threads, its connections."""
    program = Path(__file__).with_name("bench_firebase.py")
    command = [sys.executable, str(program), addresses["service_account_file"], addresses["fcm_endpoint"], str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise SystemExit(f"firebase-admin could not send: {done.stderr[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class Town:
    """Accounts with sleeping phones, as a gateway would leave them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._count = itertools.count(1)
        self._mailbox = Mailbox(journal, node="n1", smacks=SmacksSettings(), offline=OfflineSettings())

    def sleeping_phone(self, user: str) -> None:
        """A resumable session with a registration, its link lost."""
        Accounts(self._journal).create(user, {"none": "no credentials are needed here"})
        number = next(self._count)
        bound = self._mailbox.bind(
            user=user, resource="phone", sid=f"s{number}", owner=f"o{number}", jid_xml=f"{user}/phone", user_xml=user
        )
        assert isinstance(bound, Bound), bound
        self._mailbox.enable(bound.grip, is_resumable=True, max_ms=600_000, push_max_ms=0, base=0)
        waited(lambda done: self._mailbox.presence(bound.grip, priority=0, stanza=b"<presence/>", done=done))
        wanted = Registration(
            service="push.localhost",
            node=f"node{number}",
            sid=bound.grip.sid,
            resource="phone",
            app="chat",
            token=f"{number:064x}",
        )
        waited(
            lambda done: self._mailbox.register(
                bound.grip,
                user=user,
                field=wanted.field,
                registration=msgspec.json.encode(wanted),
                most=5,
                done=done,
            )
        )
        self._mailbox.hibernate(bound.grip)

    def message(self, user: str) -> None:
        """Somebody writes to a phone."""
        sender = "romeo@localhost/garden"
        stanza = f"<message from='{sender}' to='{user}' type='chat'><body>{'x' * 160}</body></message>".encode()
        waited(
            lambda done: self._mailbox.deliver(
                user=user, resource="", sender=sender, origin=None, kind="m", type="chat", flags="swb", stanza=stanza,
                done=done,
            )
        )  # fmt: skip

    def messages(self, users: list[str], *, per_s: int) -> None:
        """So many a second."""
        for user in users:
            self.message(user)
            gevent.sleep(1 / per_s)


def waited(begin: Callable[[Callable[[Any], None]], None]) -> None:
    """Start an operation that answers by callback, and wait for its answer."""
    answer: AsyncResult[Any] = AsyncResult()
    begin(answer.set)
    found = answer.get(timeout=20)
    if isinstance(found, Exception):
        raise found
