"""The journal: the one writer to Redis of a process. All greenlets' operations share one socket and commit in groups.

While one pipeline is in flight the next one fills, so that the more there is to do, the less each operation costs.
Operations are answered in the order in which they were submitted. When the connection is lost, everything unanswered is
sent again in order on the next one: every mailbox operation is idempotent, so that it does not matter which of them
Redis had already taken.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
import hiredis
from gevent.event import AsyncResult, Event
from redis.connection import parse_url

from gateway.mailbox import library
from gateway.mailbox.errors import StoreCorrupt, StoreError, StoreUnavailable
from gateway.telemetry import get_logger

log = get_logger(__name__)

Reply = Any
Part = bytes | str | int | float
Callback = Callable[[Reply], None]
"""Gets the reply, or a StoreError as a value. Runs in the journal's reader: it must not block."""

LARGEST_GROUP = 1000
"""operations in one pipeline: keeps a single reply from waiting behind an unbounded batch"""

LONGEST_PAUSE_S = 1.0
"""between two attempts to connect"""

# Redis says these while it starts, fails over, is short of memory or has forgotten the library: not now, but later.
PASSING = (
    b"LOADING",
    b"READONLY",
    b"MASTERDOWN",
    b"CLUSTERDOWN",
    b"TRYAGAIN",
    b"OOM",
    b"MISCONF",
    b"NOREPLICAS",
    b"BUSY",
    b"UNKILLABLE",
)


def _is_passing(error: Exception) -> bool:
    text = str(error)
    return text.startswith(tuple(name.decode() for name in PASSING)) or "unction not found" in text


def _packed(command: tuple[Part, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub takes tuples of one part only
    return packed


class Journal:
    """A pipelined connection to one Redis server.

    `url` is redis://, rediss:// or unix://; `timeout_s` bounds the wait for an answer before reconnecting.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._queued: deque[tuple[bytes, Callback]] = deque()
        self._sent: deque[tuple[bytes, Callback]] = deque()
        self._wake = Event()
        self._idle = Event()
        self._idle.set()
        self._up = Event()
        self._runner: gevent.Greenlet | None = None
        self.on_reconnect: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin to connect; returns at once. Operations may be submitted before the connection stands."""
        if self._runner is None:
            self._runner = gevent.spawn(self._run)

    def stop(self, flush_s: float = 2.0) -> None:
        """Wait at most `flush_s` seconds for what was submitted, then close."""
        self._idle.wait(flush_s)
        if self._runner is not None:
            self._runner.kill(timeout=1)
            self._runner = None
        self._fail_everything()

    @property
    def is_up(self) -> bool:
        """Redis answers at the moment."""
        return bool(self._up.is_set())

    @property
    def waiting(self) -> int:
        """Number of operations that have no answer yet."""
        return len(self._queued) + len(self._sent)

    def wait_up(self, timeout_s: float) -> None:
        """Wait for the connection; raises StoreUnavailable after `timeout_s` seconds."""
        if not self._up.wait(timeout_s):
            raise StoreUnavailable(f"Redis did not answer within {timeout_s:g} s")

    def submit(self, callback: Callback, *command: Part) -> None:
        """Queue one command; `callback` gets its reply. Never blocks."""
        self._queued.append((_packed(command), callback))
        self._idle.clear()
        if not self._sent:
            self._wake.set()

    def call(self, *command: Part, timeout_s: float | None = None) -> Reply:
        """Queue one command and wait for its reply.

        Raises StoreUnavailable after `timeout_s` seconds (it may still take effect later), StoreCorrupt if refused.
        """
        result: AsyncResult[Reply] = AsyncResult()
        self.submit(result.set, *command)
        try:
            reply = result.get(timeout=timeout_s or self._timeout_s)
        except gevent.Timeout as late:
            raise StoreUnavailable("Redis did not answer in time") from late
        if isinstance(reply, StoreError):
            raise reply
        return reply

    def _run(self) -> None:
        pause_s = 0.02
        while True:
            connection = None
            writer = None
            try:
                connection = self._connect()
                self._restore_unanswered()
                pause_s = 0.02
                self._up.set()
                writer = gevent.spawn(self._write, connection)
                if self.on_reconnect is not None:
                    self.on_reconnect()
                self._read(connection)
            except (OSError, StoreUnavailable, hiredis.HiredisError) as lost:
                log.warning("redis_lost", error=str(lost), waiting=self.waiting)
            finally:
                self._up.clear()
                if writer is not None:
                    writer.kill()
                if connection is not None:
                    connection.close()
            gevent.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _connect(self) -> socket.socket:
        options = parse_url(self._url)  # type: ignore[no-untyped-call]
        if "path" in options:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(self._timeout_s)
            connection.connect(options["path"])
        else:
            host, port = options.get("host", "localhost"), options.get("port", 6379)
            connection = socket.create_connection((host, port), timeout=self._timeout_s)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._url.startswith("rediss://"):
                connection = ssl.create_default_context().wrap_socket(connection, server_hostname=host)
        opening: list[tuple[Part, ...]] = []
        if options.get("password"):
            opening.append(("AUTH", options.get("username") or "default", options["password"]))
        if options.get("db"):
            opening.append(("SELECT", options["db"]))
        opening.append(("FUNCTION", "LOAD", "REPLACE", library.source()))
        reader = hiredis.Reader()
        for command in opening:
            connection.sendall(_packed(command))
            reply = self._next(connection, reader)
            if isinstance(reply, hiredis.ReplyError):
                raise StoreUnavailable(f"Redis refused {command[0]!s}: {reply}")
        return connection

    @staticmethod
    def _next(connection: socket.socket, reader: hiredis.Reader) -> Reply:
        while (reply := reader.gets()) is False:
            data = connection.recv(65536)
            if not data:
                raise StoreUnavailable("Redis closed the connection")
            reader.feed(data)
        return reply

    def _restore_unanswered(self) -> None:
        self._queued.extendleft(reversed(self._sent))
        self._sent.clear()
        if self._queued:
            self._wake.set()

    def _write(self, connection: socket.socket) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._sent or not self._queued:
                continue
            group = [self._queued.popleft() for _ in range(min(len(self._queued), LARGEST_GROUP))]
            self._sent.extend(group)
            try:
                connection.sendall(b"".join([packed for packed, _ in group]))
            except OSError:
                connection.close()  # the reader notices and everything unanswered is sent again
                return

    def _read(self, connection: socket.socket) -> None:
        reader = hiredis.Reader()
        sent = self._sent
        while True:
            try:
                data = connection.recv(262144)
            except TimeoutError:
                if sent:
                    raise
                continue
            if not data:
                raise StoreUnavailable("Redis closed the connection")
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                if isinstance(reply, hiredis.ReplyError):
                    if _is_passing(reply):
                        raise StoreUnavailable(str(reply))
                    log.error("redis_refused", error=str(reply))
                    reply = StoreCorrupt(str(reply))
                self._answer(sent.popleft()[1], reply)
            if not sent:
                if self._queued:
                    self._wake.set()
                else:
                    self._idle.set()

    @staticmethod
    def _answer(callback: Callback, reply: Reply) -> None:
        try:
            callback(reply)
        except Exception:  # one greenlet's fault must not stop the answers of all others
            log.exception("journal_callback_failed")

    def _fail_everything(self) -> None:
        for waiting in (self._sent, self._queued):
            while waiting:
                self._answer(waiting.popleft()[1], StoreUnavailable("the journal was closed"))
