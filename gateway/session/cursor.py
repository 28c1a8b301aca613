"""The cursor: the one writer of a session's socket. It walks the durable queue with three marks, acked <= sent <= tail.

Live delivery, resumption, back-pressure and catching up after a lost notice are all the same here: write what comes
next, as far as
the socket and the client's acknowledgements allow. Bytes are kept only between a notice and the end of the hub's
turn; everything
else is read from the queue when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.mailbox.entry import COPY, DELAYED, MESSAGE, Entry
from gateway.mailbox.errors import StoreError
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Grip
from gateway.session.rhythm import Rhythm
from gateway.telemetry import get_logger
from gateway.xmpp.delay import delay_child, delayed_copy, has_delay_from
from gateway.xmpp.stanza import NotAnElement, add_child

log = get_logger(__name__)

HIGH_WATER = 65536
"""bytes the socket has not taken; beyond them nothing more is read from the queue"""

AHEAD = 256
"""notices kept ahead of a gap; what lies beyond is read from the queue later"""

LARGE = 8192
"""bytes; a larger stanza is not kept unless it is the next one"""

PIECE, PIECE_BYTES = 200, 262144
"""entries and bytes read from the queue at once"""


class Cursor:
    """The writer of one session on one connection.

    `write` takes bytes for the socket and never blocks, `backlog` tells how many it has not taken yet. `lost` is
    called when the session
    turns out to be another's, `failed` when the store refused. `started_ms`: entries older than that come late and
    get a delay stamp
    of `domain` (XEP-0203).
    """

    __slots__ = (
        "_ahead",
        "_backlog",
        "_domain",
        "_failed",
        "_lost",
        "_mailbox",
        "_reading",
        "_rhythm",
        "_started_ms",
        "_window",
        "_write",
        "acked",
        "asked_at",
        "base",
        "counts",
        "grip",
        "held",
        "is_inactive",
        "is_overdue",
        "sent",
        "tail",
        "taken",
        "unasked",
    )

    def __init__(
        self,
        *,
        grip: Grip,
        mailbox: Mailbox,
        rhythm: Rhythm,
        write: Callable[[bytes], None],
        backlog: Callable[[], int],
        lost: Callable[[], None],
        failed: Callable[[StoreError], None],
        domain: str,
        window: int,
        started_ms: int,
        acked: int = 0,
        tail: int = 0,
    ) -> None:
        self.grip = grip
        self._mailbox = mailbox
        self._rhythm = rhythm
        self._write = write
        self._backlog = backlog
        self._lost = lost
        self._failed = failed
        self._domain = domain
        self._window = window
        self._started_ms = started_ms
        self._ahead: dict[int, bytes] = {}
        self._reading = False
        self.acked = acked
        """the client has these"""
        self.sent = acked
        """the socket was given these"""
        self.taken = acked
        """without XEP-0198: what the mailbox was told that the socket took"""
        self.tail = tail
        """the queue is known to reach so far"""
        self.base = 0
        """XEP-0198 counts positions after this one"""
        self.counts = False
        """XEP-0198 is on: the client acknowledges"""
        self.held = False
        """writes nothing for the moment"""
        self.unasked = 0
        """stanzas written since the last <r/>"""
        self.asked_at = 0.0
        """when the outstanding <r/> was written (monotonic s), 0 if none is"""
        self.is_overdue = False
        """it has been outstanding for too long, and the mailbox knows"""
        self.is_inactive = False
        """the client said so (XEP-0352)"""

    def notice(self, position: int, stanza: bytes = b"") -> None:
        """The queue has an entry at `position`; `stanza` spares a look at the queue if it is the next one."""
        if position > self.tail:
            self.tail = position
        if position > self.sent:
            if stanza and self._is_near(position, stanza):
                self._ahead[position] = stanza
            self._rhythm.wake(self)

    def _is_near(self, position: int, stanza: bytes) -> bool:
        """The stanza will be written soon, so that to keep it costs less than to read it again. What waits for a client
        that reads or acknowledges nothing stays in the queue.
        """
        if position == self.sent + 1:
            return position <= self.acked + self._window and self._backlog() < HIGH_WATER
        return position - self.sent <= AHEAD and position <= self.acked + self._window and len(stanza) <= LARGE

    @property
    def kept_bytes(self) -> int:
        """What stanzas that are not written yet occupy in memory."""
        return sum(map(len, self._ahead.values()))

    def reaches(self, tail: int) -> None:
        """The queue reaches to `tail`: found by an operation's answer or by the periodic check."""
        if tail > self.tail:
            self.tail = tail
        if self.tail > self.sent:
            self._rhythm.wake(self)

    def rewind(self, tail: int) -> None:
        """The queue reaches no further than to `tail`: what was noticed beyond that, and not written yet, is not there
        any more.
        """
        self._ahead.clear()
        self.tail = max(tail, self.sent)

    def look(self) -> None:
        """Look at the queue: an answer that would have told a position was lost."""
        if not self._reading and not self.held:
            self._read(PIECE)

    def pump(self) -> None:
        """Write what can be written now. Called once per turn of the hub, however many notices came."""
        if self.held:
            return
        if self._backlog() >= HIGH_WATER:
            self._ahead.clear()  # read again from the queue when the socket has taken what it was given
            return
        ahead, parts, sent = self._ahead, [], self.sent
        limit = self.acked + self._window
        while sent < limit and (stanza := ahead.pop(sent + 1, None)) is not None:
            parts.append(stanza)
            sent += 1
        if parts:
            self.sent = sent
            self.unasked += len(parts)
            self._write(b"".join(parts))
            self._after_write()
        if self.tail > sent and sent < limit and not self._reading and self._backlog() < HIGH_WATER:
            self._read(min(PIECE, limit - sent))

    def _read(self, most: int) -> None:
        self._reading = True
        self._mailbox.read(
            self.grip, position=self.sent + 1, most=most, most_bytes=PIECE_BYTES, done=self._have_read(self.sent + 1)
        )

    def _have_read(self, position: int) -> Callable[[Any], None]:
        def done(answer: Any) -> None:
            self._reading = False
            if isinstance(answer, StoreError):
                self._failed(answer)
            elif answer is None:
                self._lost()
            else:
                tail, entries = answer
                for at, entry in enumerate(entries, position):
                    if at > self.sent:
                        self._ahead[at] = self._rendered(entry)
                self.tail = max(self.tail, tail)
                if entries or tail < self.tail:
                    self._rhythm.wake(self)

        return done

    def _rendered(self, entry: Entry) -> bytes:
        """An entry that waited carries the time at which it came (XEP-0203; XEP-0198 section 6, XEP-0160)."""
        is_late = entry.stamp_ms < self._started_ms or DELAYED in entry.flags
        if not is_late or entry.kind not in (MESSAGE, COPY):
            return entry.stanza
        if entry.kind == COPY:
            return delayed_copy(entry.stanza, delay_child(self._domain, entry.stamp_ms))
        try:
            if has_delay_from(entry.stanza, self._domain):
                return entry.stanza
        except NotAnElement:
            log.info("stanza_too_large_to_look_into", session=self.grip.sid, bytes=len(entry.stanza))
        return add_child(entry.stanza, delay_child(self._domain, entry.stamp_ms))

    def _after_write(self) -> None:
        if self.counts:
            self._rhythm.wrote(self)
        elif not self._backlog():
            self.socket_took_all()

    def socket_took_all(self) -> None:
        """The socket has taken everything. Without XEP-0198 that is all there will ever be to know: the entries are
        done.
        """
        if self.counts:
            if self.tail > self.sent:
                self._rhythm.wake(self)
            return
        if self.sent > self.taken:
            self.taken = self.acked = self.sent
            self._mailbox.ack(self.grip, self.sent, self._acknowledged)
        if self.tail > self.sent:
            self._rhythm.wake(self)

    def acknowledge(self, upto: int) -> None:
        """The client acknowledged everything up to the absolute position `upto`, which the caller has checked."""
        self.asked_at = 0.0
        if upto > self.acked:
            self.acked = upto
            self._mailbox.ack(self.grip, upto, self._acknowledged)
            if self.is_overdue:
                self.is_overdue = False
        elif self.is_overdue:
            self.is_overdue = False
            self._mailbox.overdue(self.grip, False, self._told)
        if self.tail > self.sent:
            self._rhythm.wake(self)
        if self.unasked:
            self._rhythm.wrote(self)

    def overdue(self) -> None:
        """The client has not answered <r/> for too long: the push rule has to know."""
        self.is_overdue = True
        self._mailbox.overdue(self.grip, True, self._told)

    def ask(self, now: float) -> None:
        """Write <r/>, unless one is outstanding (a client would answer both with the same number)."""
        if not self.asked_at and not self.held:
            self.unasked = 0
            self.asked_at = now
            self._write(b"<r xmlns='urn:xmpp:sm:3'/>")
            self._rhythm.asked(self)

    def _acknowledged(self, answer: Any) -> None:
        if isinstance(answer, StoreError):
            self._failed(answer)
        elif answer[0] == "stale":
            self._lost()
        else:
            self.reaches(answer[1])

    def _told(self, answer: Any) -> None:
        if isinstance(answer, StoreError):
            self._failed(answer)
        elif answer == b"stale":
            self._lost()
        else:
            self.reaches(answer[1])  # presence that was kept aside comes now

    def start_counting(self) -> None:
        """<enabled/> is about to be written: what was sent so far is done, the client counts from here."""
        self.base = self.acked = self.taken = self.sent
        self.counts = True
        self.unasked = 0

    def stop(self) -> None:
        """The connection is gone; nothing more is written."""
        self.held = True
        self._ahead.clear()
        self._rhythm.forget(self)
