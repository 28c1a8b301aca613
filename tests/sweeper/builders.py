"""A sweeper over a real store, round by round, and as a process that can be killed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.node_settings import NodesSettings
from gateway.mailbox.nodes import Sweep
from gateway.mailbox.settings import OfflineSettings, SmacksSettings
from gateway.process import dies_with_parent
from tests.mailbox.world import JULIET, ROMEO, WAIT_S, Client, World
from workers.sweeper.bounces import Bouncer
from workers.sweeper.leases import Leases
from workers.sweeper.sweeper import Sweeper

ROMEO_USER = ROMEO.partition("/")[0]


def a_chat(number: int = 1, *, sender: str = ROMEO, to: str = JULIET) -> bytes:
    """A message as the router hands it to the mailbox."""
    return f"<message from='{sender}' to='{to}' id='m{number}' type='chat'><body>{number}</body></message>".encode()


def a_request(number: int = 1, *, to: str = JULIET + "/phone") -> bytes:
    """An iq request as the router hands it to the mailbox."""
    return f"<iq from='{ROMEO}' to='{to}' id='q{number}' type='get'><query xmlns='urn:x'/></iq>".encode()


def the_error(number: int = 1, *, sender: str = JULIET, name: str = "message", id: str = "m") -> bytes:  # noqa: A002
    """What the sender of `a_chat` gets when nobody received it: RFC 6120 section 8.3.1."""
    return (
        f'<{name} type="error" id="{id}{number}" to="{ROMEO}" from="{sender}"><error type="cancel">'
        f'<service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></{name}>'
    ).encode()


def plain(stanza: bytes) -> bytes:
    """With one kind of quotes: which kind is no promise."""
    return stanza.replace(b"'", b'"')


@contextmanager
def a_sweeper(url: str, *, lease_s: float = NodesSettings().lease, **smacks: object) -> Iterator[Sweeper]:
    """A sweeper with a journal of its own that does nothing until `round()`."""
    settings, offline = SmacksSettings(**smacks), OfflineSettings()  # type: ignore[arg-type]
    journal = Journal(url)
    sweep = Sweep(journal, smacks=settings, offline=offline)
    mailbox = Mailbox(journal, node="", smacks=settings, offline=offline)
    sweeper = Sweeper(journal, sweep, Bouncer(mailbox, sweep, domains=["localhost"], spared_ms=0), Leases(lease_s))
    journal.start()
    journal.wait_up(WAIT_S)
    try:
        yield sweeper
    finally:
        journal.stop()


def lapse(client: Client) -> None:
    """The session sleeps, and its time is over."""
    client.hibernate()
    world = client.world
    world.redis.hset(keys.key(client.grip.at, "session", client.sid), "deadline", 1)
    world.redis.zadd(keys.key(client.grip.at, "due"), {client.sid: 1})


def romeo(world: World) -> Client:
    """The sender, at the address that `a_chat` comes from; nothing is queued for him."""
    world.accounts.create(ROMEO_USER, {"scheme": "test"})
    client = world.bind(ROMEO.partition("/")[2], user=ROMEO_USER)
    client.enable()
    return client


def received(client: Client) -> list[bytes]:
    """All that was ever queued for a client who acknowledged nothing."""
    return [plain(entry.stanza) for entry in client.read(1)]


def wait_for(condition: Callable[[], object], timeout_s: float = WAIT_S) -> None:
    """Return as soon as `condition` holds; an AssertionError if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        gevent.sleep(0.005)


class SweeperProcess:
    """`wakegate sweeper` on a store."""

    def __init__(self, directory: Path, url: str) -> None:
        config = directory / "wakegate.toml"
        config.write_text(f'[server]\ndata_dir = "{directory}/data"\n[redis]\nurl = "{url}"\n')
        self._log = directory / "log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "sweeper", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                preexec_fn=dies_with_parent(),
            )

    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(10)

    def terminate(self) -> int:
        """SIGTERM; answers the exit status."""
        self.process.terminate()
        return self.process.wait(10)


@contextmanager
def a_sweeper_process(directory: Path, url: str) -> Iterator[SweeperProcess]:
    """A process that is gone afterwards."""
    process = SweeperProcess(directory, url)
    try:
        yield process
    finally:
        process.kill()
