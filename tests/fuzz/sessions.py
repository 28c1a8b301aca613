"""Targets with a whole gateway behind them, on a real Redis, and memory instead of a socket: what somebody unknown says
before there is a session, what a client says in one, and what a component says.
"""

from __future__ import annotations

import itertools
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis

from gateway import configuration
from gateway.app import Gateway
from gateway.enrolment import stored
from gateway.mailbox import keys
from gateway.mailbox.embedded import EmbeddedServer
from gateway.session.component import ComponentConnection
from gateway.session.connection import Connection
from gateway.settings import load
from gateway.xmpp import ns
from gateway.xmpp.component import digest
from gateway.xmpp.jid import JID
from tests.fuzz.protocol import requests, stanzas, words
from tests.fuzz.target import Feed, Target
from tests.unit.xmpp.builders import HEADER

USER: Final = "a@localhost"
VICTIM: Final = "b@localhost"
PASSWORD: Final = "pencil-and-paper"
COMPONENT: Final = "rooms.localhost"
SECRET: Final = b"zq9-secret"
"""stands in what only the victim may read"""

TABLES: Final = (
    "vcard",
    "private",
    "blocked",
    "registrations",
    "nodes",
    "node_affiliations",
    "archive_prefs",
    "invites",
)
"""of the victim, which nobody else may change"""

AFRESH: Final = 400
"""inputs; then the store is emptied, so that one input does not live off all others"""

MOST_SAID: Final = 4_000_000
"""bytes in answer to one input"""

BIND: Final = f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'><resource>r</resource></bind></iq>".encode()

CALLED: Final = f"<stream:stream xmlns='{ns.COMPONENT}' xmlns:stream='{ns.STREAM}' to='{COMPONENT}'>".encode()
PROVED: Final = b"<handshake>%proof</handshake>"

MINE: Final = (
    f"<iq type='set' id='1'><query xmlns='{ns.PRIVATE}'><n xmlns='urn:n'>%s</n></query></iq>"
    f"<iq type='set' id='2'><block xmlns='{ns.BLOCKING}'><item jid='%s@localhost'/></block></iq>"
    f"<iq type='set' id='3'><pubsub xmlns='{ns.PUBSUB}'><publish node='urn:example:fuzz'><item id='one'>"
    f"<a xmlns='urn:a'>%s</a></item></publish></pubsub></iq>"
).replace("%s", SECRET.decode())


@dataclass(frozen=True)
class _Tls:
    version: str = "TLSv1.3"
    cipher: str = "TLS_AES_256_GCM_SHA384"
    bindings: dict[str, bytes] = field(default_factory=lambda: {"tls-exporter": b"e" * 32})


class _Memory:
    """A connection whose client has said everything, and is gone."""

    def __init__(self, said: bytes, *, piece: int, tls: bool) -> None:
        self.peer = "127.0.0.1:5222"  # from elsewhere, those who try a lot are slowed down
        self.on_drained: Callable[[], None] | None = None
        self.tls: _Tls | None = _Tls() if tls else None
        self.backlog = 0
        self.closed = False
        self.heard = bytearray()
        self._said = said
        self._piece = piece

    def read(self, size: int = 16384, *, timeout_s: float | None = None) -> bytes:
        if self.closed:
            return b""
        part, self._said = self._said[: self._piece], self._said[self._piece :]
        return part

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.heard += data
            assert len(self.heard) < MOST_SAID, "answers without end"
            if self.on_drained is not None:
                self.on_drained()

    def start_tls(self, context: object, *, timeout_s: float = 20) -> None:
        self.tls = _Tls()

    def close(self, flush_s: float = 1.0) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class _Faults(logging.Handler):
    """What the gateway itself calls a fault of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def check(self) -> None:
        """Raises what was caught."""
        if self.records:
            record = self.records[0]
            self.records.clear()
            cause = record.exc_info[1] if record.exc_info else None
            raise AssertionError(f"{record.msg} {record.__dict__.get('wakegate_fields')}") from cause


class World:
    """One gateway without listeners."""

    def __init__(self, directory: Path) -> None:
        self._server = EmbeddedServer(directory, appendfsync="no")
        self._server.start()
        overrides: dict[str, Any] = {
            "server.data_dir": str(directory),
            **{f"listen.{name}": [] for name in ("c2s", "c2s_tls", "components", "web")},
            "registration.open": True,
            "registration.tries": 1_000_000,
            "registration.tries_per_address": 100_000,
            "limits.max_auth_failures": 3,
        }
        file = directory / "wakegate.toml"
        file.write_text(f'[components.domains."{COMPONENT}"]\nsecret = "{PASSWORD}"\n')
        settings = load(configuration.sections(), files=[file], overrides=overrides)
        self._gateway = Gateway.build(settings)
        self._gateway.start()
        self._ids = itertools.count(1)
        self._gateway.node.new_id = lambda: f"{next(self._ids):020}"
        self._store = redis.Redis.from_url(self._server.url)
        self._credentials = stored(PASSWORD).to_fields()
        self._faults = _Faults()
        logging.getLogger().addHandler(self._faults)
        self._fed = 0
        self._victims: list[Any] = []

    def close(self) -> None:
        logging.getLogger().removeHandler(self._faults)
        self._gateway.stop()
        self._store.close()
        self._server.stop()

    def _afresh(self) -> None:
        self._store.flushall()
        for user in (USER, VICTIM):
            self._gateway.node.accounts.create(user, self._credentials)
        self.serve(HEADER + BIND + MINE.encode(), VICTIM)
        self._victims = self._kept()

    def _kept(self) -> list[Any]:
        """What only the victim may change."""
        pipe = self._store.pipeline(transaction=False)
        at = keys.prefix(VICTIM)
        for name in TABLES:
            pipe.dump(keys.key(at, name, VICTIM))
        pipe.hgetall(keys.key(at, "node_items", VICTIM, "urn:example:fuzz"))
        return list(pipe.execute())

    def serve(self, said: bytes, user: str = "", *, piece: int = 16384, tls: bool = True) -> bytes:
        """Everything that a client is answered: one that is authenticated already, or an unknown one."""
        link = _Memory(said, piece=piece, tls=tls)
        is_component = user == COMPONENT
        connection = (ComponentConnection if is_component else Connection)(link, self._gateway.node)
        if user and not is_component:
            assert connection._negotiation is not None
            connection._negotiation._jid = JID.parse(user)
            connection.raise_limits()
        connection.run()
        self._faults.check()
        return bytes(link.heard)

    def feed(self, said: bytes, user: str, *, piece: int, tls: bool = True) -> None:
        """One input; afterwards nothing of the victim's has changed or been told."""
        if self._fed % AFRESH == 0 or not self._gateway.node.accounts.credentials(USER):
            self._afresh()
        self._fed += 1
        if user == COMPONENT:
            proof = digest(f"{next(self._ids) + 1:020}", PASSWORD).encode()
            said = said.replace(b"%proof", proof)
        heard = self.serve(said, user, piece=piece, tls=tls)
        assert SECRET not in heard or SECRET in said, "somebody else's secret"
        assert self._victims == self._kept(), "somebody else's data"


@contextmanager
def _world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory))
        yield world
        world.close()


@contextmanager
def negotiation() -> Iterator[Feed]:
    """The first byte: how the rest is cut, and whether there is TLS."""
    with _world() as world:
        yield lambda data: world.feed(data[1:], "", piece=_piece(data), tls=data[:1] < b"\x80")


@contextmanager
def session() -> Iterator[Feed]:
    """The first byte: how the rest is cut. It comes behind the binding of a resource."""
    with _world() as world:
        yield lambda data: world.feed(
            HEADER + BIND + data[1:], USER, piece=16384 if data[:1] < b"\x80" else _piece(data)
        )


@contextmanager
def component() -> Iterator[Feed]:
    """The first byte: how the rest is cut, and whether it comes behind the handshake."""
    with _world() as world:
        yield lambda data: world.feed(
            (b"" if data[:1] >= b"\x80" else CALLED + PROVED) + data[1:], COMPONENT, piece=_piece(data)
        )


def _piece(data: bytes) -> int:
    return 1 + (data[0] % 128) * 8 if data else 1


def _strangers() -> list[bytes]:
    tls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    auth = f"<auth xmlns='{ns.SASL}' mechanism='%s'>%s</auth>"
    named = "<username>new</username><password>pencil-and-x</password>"
    register = f"<iq type='set' id='r'><query xmlns='{ns.REGISTER}'>{named}</query></iq>"
    scram = (
        auth % ("SCRAM-SHA-1", "bixhPXgsbj1hLHI9YWJj")
        + f"<response xmlns='{ns.SASL}'>Yz1iaXdzLHI9YWJjLHA9YWJj</response>"
    )
    bound = HEADER.decode() + BIND.decode() + f"<enable xmlns='{ns.SM}' resume='true'/>"
    right = auth % ("PLAIN", "AGEAcGVuY2lsLWFuZC1wYXBlcg==")
    said = [
        auth % ("PLAIN", "AGEAYg=="),
        scram,
        auth % ("SCRAM-SHA-256-PLUS", "cD10bHMtZXhwb3J0ZXIsLG49YSxyPWFiYw=="),
        right + bound,
        right + HEADER.decode() + f"<resume xmlns='{ns.SM}' previd='x' h='1'/>" + BIND.decode(),
        f"<iq type='get' id='g'><query xmlns='{ns.REGISTER}'/></iq>{register}",
        f"<abort xmlns='{ns.SASL}'/>",
    ]
    secure = [b"\x7f" + HEADER + each.encode() for each in said]
    return [*secure, b"\xff" + HEADER + tls.encode() + HEADER + said[0].encode(), b"\x03" + HEADER + said[0].encode()]


def _clients() -> list[bytes]:
    found = [*stanzas(), *requests()]
    to_victim = [each.replace(b"<iq ", f"<iq to='{VICTIM}' ".encode(), 1) for each in requests()]
    return [b"\x7f" + each for each in (*found, *to_victim)]


def _components() -> list[bytes]:
    named = [each.replace(b"<iq ", f"<iq from='r@{COMPONENT}/n' to='{VICTIM}/r' ".encode(), 1) for each in requests()]
    said = [each.replace(b"<message ", f"<message from='r@{COMPONENT}' ".encode(), 1) for each in (*stanzas(), *named)]
    asked = [each.replace(b"/r' ", b"' ", 1).replace(VICTIM.encode(), b"localhost", 1) for each in named[:20]]
    return [*(b"\x7f" + each for each in (*said, *asked)), b"\xff" + CALLED + PROVED, b"\xff" + CALLED + stanzas()[0]]


def _words() -> list[bytes]:
    return [
        *words(),
        VICTIM.encode(),
        b"b@localhost/r",
        b"push.localhost",
        b"localhost",
        ns.SASL.encode(),
        ns.SM.encode(),
    ]


TARGETS: Final = (
    Target("negotiation", negotiation, _strangers, _words, 2048),
    Target("session", session, _clients, _words),
    Target("component", component, _components, lambda: [*_words(), COMPONENT.encode(), ns.COMPONENT.encode()]),
)
