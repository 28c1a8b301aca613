"""When cursors write, ask and give up waiting: one clock per process, not one timer per session.

Cursors that have something to write are pumped once per turn of the hub, so that a batch of answers from Redis
becomes one write per
socket. <r/> is asked lazily: after so many stanzas, or at the first pause. An unanswered <r/> becomes overdue.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event

from gateway.mailbox.settings import SmacksSettings
from gateway.telemetry import get_logger

if TYPE_CHECKING:
    from gateway.session.cursor import Cursor

log = get_logger(__name__)

PAUSE_S = 0.25
"""nothing was written for so long: time to ask for acknowledgements"""

ASK_AFTER = 10
"""stanzas, unless smacks_max_unacked_stanzas says otherwise; measured: asking at each one costs 40 % more CPU"""


class Rhythm:
    """Pumps, asks and overdue acknowledgements of all cursors of this process."""

    def __init__(self, smacks: SmacksSettings, *, inactive_ack_delay_s: float | None = None) -> None:
        """`inactive_ack_delay_s`: the most a client may take for an answer that said it is inactive (XEP-0352)."""
        self._ask_after = smacks.smacks_max_unacked_stanzas or ASK_AFTER
        self._ack_delay_s = float(smacks.smacks_max_ack_delay)
        self._inactive_ack_delay_s = min(self._ack_delay_s, inactive_ack_delay_s or self._ack_delay_s)
        self._awake: dict[Cursor, None] = {}
        self._armed = False
        self._unasked: dict[Cursor, None] = {}
        self._outstanding: dict[Cursor, None] = {}  # in the order of asking: the first falls due first
        self._outstanding_inactive: dict[Cursor, None] = {}  # likewise; they fall due sooner
        self._work = Event()
        self._clock: gevent.Greenlet | None = None
        self._hub = gevent.get_hub()

    def start(self) -> None:
        """Start the clock. It ticks only while something waits for it."""
        self._clock = gevent.spawn(self._tick)

    def stop(self) -> None:
        """Stop the clock."""
        if self._clock is not None:
            self._clock.kill(timeout=1)
            self._clock = None

    def wake(self, cursor: Cursor) -> None:
        """Pump this cursor at the end of the hub's turn."""
        self._awake[cursor] = None
        if not self._armed:
            self._armed = True
            self._hub.loop.run_callback(self._pump)

    def _pump(self) -> None:
        self._armed = False
        awake, self._awake = self._awake, {}
        for cursor in awake:
            try:
                cursor.pump()
            except Exception:  # runs in the hub: one session must not stop the others
                log.exception("pump_failed", session=cursor.grip.sid)

    def wrote(self, cursor: Cursor) -> None:
        """The cursor has written stanzas that the client will have to acknowledge."""
        if cursor.unasked >= self._ask_after and not cursor.asked_at:
            self._unasked.pop(cursor, None)
            cursor.ask(time.monotonic())
        else:
            self._unasked[cursor] = None
            self._work.set()

    def asked(self, cursor: Cursor) -> None:
        """An <r/> was written."""
        self._unasked.pop(cursor, None)
        self._outstanding.pop(cursor, None)
        self._outstanding_inactive.pop(cursor, None)
        (self._outstanding_inactive if cursor.is_inactive else self._outstanding)[cursor] = None
        self._work.set()

    def state_changed(self, cursor: Cursor) -> None:
        """The client said that it is active or inactive: an <r/> that is outstanding falls due by that."""
        if cursor in self._outstanding or cursor in self._outstanding_inactive:
            self.asked(cursor)

    def forget(self, cursor: Cursor) -> None:
        """The cursor has stopped."""
        self._awake.pop(cursor, None)
        self._unasked.pop(cursor, None)
        self._outstanding.pop(cursor, None)
        self._outstanding_inactive.pop(cursor, None)

    def _tick(self) -> None:
        while True:
            self._work.wait()
            gevent.sleep(PAUSE_S)
            now = time.monotonic()
            unasked, self._unasked = self._unasked, {}
            try:
                for cursor in unasked:
                    cursor.ask(now)
                self._find_overdue(self._outstanding, now, self._ack_delay_s)
                self._find_overdue(self._outstanding_inactive, now, self._inactive_ack_delay_s)
            except Exception:  # the clock of all sessions goes on
                log.exception("rhythm_failed")
            if not self._unasked and not self._outstanding and not self._outstanding_inactive:
                self._work.clear()

    @staticmethod
    def _find_overdue(outstanding: dict[Cursor, None], now: float, delay_s: float) -> None:
        while outstanding:
            cursor = next(iter(outstanding))
            if cursor.asked_at and now - cursor.asked_at < delay_s:
                return
            del outstanding[cursor]
            if cursor.asked_at and not cursor.is_overdue:
                cursor.overdue()
