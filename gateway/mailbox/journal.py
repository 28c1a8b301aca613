"""The journal: the one writer to Redis of a process. All greenlets' operations share one socket and commit in groups.

While one pipeline is in flight the next one fills, so that the more there is to do, the less each operation costs.
Operations are answered in the order in which they were submitted. When the connection is lost, everything unanswered is
sent again in order on the next one: every mailbox operation is idempotent, so that it does not matter which of them
Redis had already taken.

A group is one MULTI … EXEC: should Redis refuse for a moment (it starts, fails over, cannot write), it refuses the
whole group. If it took a later operation but not an earlier one, the earlier one, sent again, would look like a
duplicate. When it is full, every operation that would make it grow is answered with StoreFull, those that have not been
sent yet as well: so that none of one sender's is taken while an earlier one is refused.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final

import gevent
import hiredis
from gevent.event import AsyncResult, Event

from gateway.mailbox import answers, keys, library, redis_url, timeline
from gateway.mailbox.dial import Part, Source, ask, ask_all, packed
from gateway.mailbox.errors import StoreError, StoreMisconfigured, StoreUnavailable
from gateway.mailbox.fence import Fence
from gateway.mailbox.pressure import SILENT_S, Pressure
from gateway.settings import ConfigError
from gateway.telemetry import get_logger

log = get_logger(__name__)

Reply = Any
Callback = Callable[[Reply], None]
"""Gets the reply, or a StoreError as a value. Runs in the journal's reader: it must not block."""

Waiting = tuple[bytes, Callback, int, bool]
"""an operation as it is sent, who gets the answer, its weight, and whether a Redis that is full refuses it"""

LARGEST_GROUP: Final = 300
"""weight of the operations in one group: Redis serves nobody else for the few milliseconds that they take"""

LARGEST_GROUP_BYTES: Final = 1_048_576

LONGEST_PAUSE_S: Final = 1.0
"""between two attempts to connect"""

_MULTI: Final = b"*1\r\n$5\r\nMULTI\r\n"
_EXEC: Final = b"*1\r\n$4\r\nEXEC\r\n"


class Journal:
    """A pipelined connection to one Redis server.

    `source` is an address of one server or of its sentinels (else ConfigError), or what connects to it; `timeout_s`
    bounds the wait for an answer before reconnecting. `fence`: answers are given when replicas have what was written.
    """

    is_sharded = False
    """Buckets may lie on different servers, so that nothing that touches two of them is one step."""

    def __init__(self, source: str | Source, *, timeout_s: float = 10.0, fence: Fence | None = None) -> None:
        self._source = redis_url.source(source)
        self._fence = fence
        self._timeout_s = timeout_s
        self.answer_timeout_s = self.call_timeout_s = timeout_s
        """`call` waits for `call_timeout_s`, unless it is told; longer than the other, it outlasts a connection"""
        self._queued: deque[Waiting] = deque()
        self._sent: deque[Waiting] = deque()
        self._wake = Event()
        self._written_at = 0.0
        self._replies: list[Reply] = []
        self._idle = Event()
        self._idle.set()
        self._up = Event()
        self._lost_why = ""
        self._refused = Event()
        self._runner: gevent.Greenlet | None = None
        self.pressure = Pressure()
        self.on_reconnect: Callable[[], None] | None = None
        self.line = timeline.Line()
        self.proof: timeline.Proof | None = None
        """asked on each new connection before anything else is sent, see `timeline`"""

    def start(self) -> None:
        """Begin to connect; returns at once. Operations may be submitted before the connection stands."""
        if self._runner is None:
            self._runner = gevent.spawn(self._run)

    def stop(self, flush_s: float = 2.0) -> None:
        """Wait at most `flush_s` seconds for what was submitted, then close."""
        self._idle.wait(min(flush_s, max(0.0, SILENT_S - self.pressure.silent_s)))
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

    def silent_prefixes(self, for_s: float) -> Collection[str]:
        """Of buckets whose server has answered nothing for so many seconds, though it was asked, or is not there."""
        return keys.PREFIXES if self.pressure.silent_s >= for_s else ()

    def is_silent_at(self, _prefix: str) -> bool:
        """As `Pressure.is_silent`, for the server that has this bucket."""
        return self.pressure.is_silent

    def wait_up(self, timeout_s: float) -> None:
        """Wait for the connection; raises StoreUnavailable after `timeout_s` seconds, StoreMisconfigured at once."""
        gevent.wait((self._up, self._refused), timeout=timeout_s, count=1)
        if self._up.is_set():
            return
        if self._refused.is_set():
            raise StoreMisconfigured(self._lost_why)
        why = f": {self._lost_why}" if self._lost_why else ""
        raise StoreUnavailable(f"Redis did not answer within {timeout_s:g} s{why}")

    def submit(self, callback: Callback, *command: Part, weight: int = 1) -> None:
        """Queue one command; `callback` gets its reply. Never blocks.

        `weight`: so many usual operations keep Redis busy for as long.
        """
        data = packed(command)
        self._queued.append((data, callback, weight, library.grows(command)))
        self.pressure.asked(len(data))
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
            reply = result.get(timeout=timeout_s or self.call_timeout_s)
        except gevent.Timeout as late:
            raise StoreUnavailable("Redis did not answer in time") from late
        if isinstance(reply, StoreError):
            raise reply
        return reply

    def call_all(self, commands: Sequence[Sequence[Part]], *, timeout_s: float | None = None) -> list[Reply]:
        """Queue several commands at once and wait for all their replies: one round trip, however many they are.

        Raises as `call` does, if any of them fails.
        """
        found: list[Reply] = [None] * len(commands)
        left, answered = len(commands), Event()

        def keep(at: int, reply: Reply) -> None:
            nonlocal left
            found[at] = reply
            left -= 1
            if left == 0:
                answered.set()

        for at, command in enumerate(commands):
            self.submit(partial(keep, at), *command)
        if commands and not answered.wait(timeout_s or self.call_timeout_s):
            raise StoreUnavailable("Redis did not answer in time")
        for reply in found:
            if isinstance(reply, StoreError):
                raise reply
        return found

    def _run(self) -> None:
        pause_s = 0.02
        while True:
            connection = None
            writer = None
            try:
                connection = self._connect()
                self._restore_unanswered()
                pause_s = 0.02
                self._refused.clear()
                self._up.set()
                self.pressure.connected()
                writer = gevent.spawn(self._write, connection)
                self._tell_reconnected()
                self._read(connection)
            except (OSError, StoreUnavailable, ConfigError, hiredis.HiredisError) as lost:
                self._note_loss(lost)
            finally:
                self._up.clear()
                self.line.forget()
                self.pressure.lost()
                if writer is not None:
                    writer.kill()
                if connection is not None:
                    connection.close()
            gevent.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _note_loss(self, lost: Exception) -> None:
        self._lost_why = str(lost)
        if isinstance(lost, StoreMisconfigured | ConfigError):
            self._refused.set()
            log.error("redis_does_not_let_us_in", error=self._lost_why, waiting=self.waiting)
        else:
            self._refused.clear()
            log.warning("redis_lost", error=self._lost_why, waiting=self.waiting)

    def _connect(self) -> socket.socket:
        """Connect, see to it that Redis has the library, and look whether it still has what clients were told."""
        connection = self._source.dial(self._timeout_s)
        try:
            library.ensure(partial(ask, connection))
            if self._fence is not None:
                self._fence.begin(connection)
            timeline.look_back(partial(ask_all, connection), self.proof, self.line)
        except BaseException:
            connection.close()
            raise
        return connection

    def _tell_reconnected(self) -> None:
        if self.on_reconnect is not None:
            try:
                self.on_reconnect()
            except Exception:  # a fault in what it does must not end the journal
                log.exception("journal_callback_failed")

    def _restore_unanswered(self) -> None:
        self._queued.extendleft(reversed(self._sent))
        self._sent.clear()
        self._replies.clear()
        if self._queued:
            self._wake.set()

    def _write(self, connection: socket.socket) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._sent or not self._queued:
                continue
            group = self._next_group()
            self._written_at = time.monotonic()
            try:
                connection.sendall(group)
            except OSError:
                connection.close()  # the reader notices and everything unanswered is sent again
                return

    def _next_group(self) -> bytes:
        queued, sent = self._queued, self._sent
        parts, size, weight = [_MULTI], 0, 0
        while queued and weight < LARGEST_GROUP and size < LARGEST_GROUP_BYTES:
            sent.append(queued.popleft())
            parts.append(sent[-1][0])
            size += len(sent[-1][0])
            weight += sent[-1][2]
        if len(sent) == 1:
            return parts[1] if self._fence is None else parts[1] + self._fence.command
        parts.append(_EXEC)
        if self._fence is not None:
            parts.append(self._fence.command)
        return b"".join(parts)

    def _read(self, connection: socket.socket) -> None:
        reader = hiredis.Reader()
        take = self._take if self._fence is None else self._take_fenced
        while True:
            try:
                data = connection.recv(262144)
            except TimeoutError:
                if self._sent and time.monotonic() - self._written_at >= self._timeout_s:
                    raise
                continue  # nobody asked anything, or not long ago
            if not data:
                raise StoreUnavailable("Redis closed the connection")
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                take(reply)

    def _take(self, reply: Reply) -> None:
        """One reply: of a group of one; or else of MULTI, of each operation (QUEUED), and at last of EXEC."""
        answers.check(reply)
        self._replies.append(reply)
        if len(self._sent) == 1:
            found = self._replies
        elif len(self._replies) < len(self._sent) + 2:
            return
        elif isinstance(reply, list):
            found = reply
        else:
            if self._fence is not None:
                self._fence.hold(None)
            self._without_refused(self._replies[1:-1], reply)
            return
        self._replies = []
        if self._fence is None:
            self._answer_all(found)
        else:
            self._fence.hold(found)

    def _take_fenced(self, reply: Reply) -> None:
        """As `_take`; what is answered is held back until the replies of the fence behind it."""
        fence = self._fence
        if fence is None or not fence.is_due:
            self._take(reply)
        elif fence.take(reply) and fence.held is not None:
            self._answer_all(fence.held)

    def _answer_all(self, replies: list[Reply]) -> None:
        errors = [reply for reply in replies if isinstance(reply, hiredis.ReplyError)]
        for error in errors:
            answers.check(error)
        for reply in replies:
            self._answer(self._sent.popleft(), answers.value_of(reply) if errors else reply)
        if any(answers.is_full(error) for error in errors):
            self._refuse_what_grows()
        self._go_on()

    def _without_refused(self, queued: list[Reply], why: Reply) -> None:
        """EXEC took nothing, since Redis does not understand some of it, or has no room for it: those are answered, the
        others go again.
        """
        self._replies = []
        group = list(self._sent)
        is_full = any(answers.is_full(reply) for reply in (*queued, why))
        refused = [
            isinstance(reply, hiredis.ReplyError) or (is_full and entry[3])
            for entry, reply in zip(group, queued, strict=True)
        ]
        if not any(refused):
            raise StoreUnavailable(f"Redis aborted a transaction: {why}")
        self._sent.clear()
        self._queued.extendleft(
            entry for entry, is_refused in zip(group[::-1], refused[::-1], strict=True) if not is_refused
        )
        for entry, reply, is_refused in zip(group, queued, refused, strict=True):
            if is_refused:
                full = is_full and (entry[3] or answers.is_full(reply))
                self._answer(entry, answers.error_of(str(reply), full=full))
        if is_full:
            self._refuse_what_grows()
        self._go_on()

    def _refuse_what_grows(self) -> None:
        """Redis is full: what waits here and would make it grow is refused as well, or it would overtake the error that
        the sender of what was refused is about to get.
        """
        waiting, refused = list(self._queued), 0
        self._queued.clear()
        self._queued.extend(entry for entry in waiting if not entry[3])
        for entry in waiting:
            if entry[3]:
                refused += 1
                self._answer(entry, answers.error_of("", full=True))
        self.pressure.full(1 + refused)

    def _go_on(self) -> None:
        self.pressure.heard()
        if self._queued:
            self._wake.set()
        else:
            self._idle.set()

    def _answer(self, entry: Waiting, reply: Reply) -> None:
        self.pressure.answered(len(entry[0]))
        try:
            entry[1](reply)
        except Exception:  # one greenlet's fault must not stop the answers of all others
            log.exception("journal_callback_failed")

    def _fail_everything(self) -> None:
        for waiting in (self._sent, self._queued):
            while waiting:
                self._answer(waiting.popleft(), StoreUnavailable("the journal was closed"))
