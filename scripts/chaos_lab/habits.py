"""What kinds of clients there are, and how each treats its link and its session.

steady   stays, and resumes whenever its link ends
dropper  loses its link often, and comes back after a while
sleeper  has push: acknowledges what it has, lets go of its link, and sleeps until a push wakes it
leaver   ends its stream in order, stays away without a session, and logs in again
expirer  can be resumed for a short time only, and stays away for longer
renewer  begins a new session of the same resource instead of resuming, and sends again what was not acknowledged
forgetful as renewer, but it has forgotten what was not acknowledged
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import gevent
from gevent.event import Event

from gateway.demo.stream import StreamEnded
from scripts.chaos_lab import history as told
from scripts.chaos_lab.device import LOST, MISTAKES, PATIENCE_S, Device

SHARES: Final = {
    "steady": 0.42,
    "dropper": 0.16,
    "sleeper": 0.14,
    "leaver": 0.1,
    "expirer": 0.06,
    "renewer": 0.07,
    "forgetful": 0.05,
}
EXPIRES_S: Final = 4
"""an expirer's session lives for so long"""

TIMER_S: Final = 40.0
"""a sleeper that nobody wakes looks for itself after so long"""

ASK_S: Final = 4.0
"""about so often a client asks whether its link is still there, and acknowledges"""

SOON_S: Final = 0.05


class Life:
    """One device from its first log-in to the end of the run, in a greenlet of its own.

    `speak` is called when it is time to send something, and answers the seconds until the next time.
    """

    def __init__(self, device: Device, habit: str, rng: random.Random, speak: Callable[[Device], float]) -> None:
        self.device = device
        self.habit = habit
        self.pushed = Event()
        self.is_settled = False
        self._rng = rng
        self._speak = speak
        self._is_over = False
        self._speaks_at = self._asks_at = self._acts_at = float("inf")
        self._greenlet: gevent.Greenlet | None = None

    def begin(self) -> None:
        """Log in for the first time. Raises one of LOST."""
        self.device.log_in(max_s=self._max_s)

    def live(self) -> None:
        """Go on until finish()."""
        now = time.monotonic()
        self._speaks_at, self._asks_at = now + self._rng.uniform(0, 2), now + ASK_S
        self._plan_acts()
        self._greenlet = gevent.spawn(self._live)

    def finish(self) -> None:
        """Say nothing more; be there, have everything acknowledged, and acknowledge everything."""
        self._is_over = True
        self.pushed.set()

    def stop(self) -> None:
        """The link ends without a word."""
        if self._greenlet is not None:
            self._greenlet.kill()
        self.device.client.cut()

    @property
    def _max_s(self) -> int | None:
        return EXPIRES_S if self.habit == "expirer" else None

    def _live(self) -> None:
        client = self.device.client
        while not self._is_over:
            now = time.monotonic()
            pause_s = min(self._speaks_at, self._asks_at, self._acts_at) - now
            if client.ended.wait(max(0.0, min(pause_s, 1.0))):
                self.device.lost()
                self._come_back()
            elif now >= self._acts_at:
                self._act()
                self._plan_acts()
            elif now >= self._speaks_at:
                self._speaks_at = now + self._speak(self.device)
            elif now >= self._asks_at:
                self._ask()
        self._settle()

    def _settle(self) -> None:
        """Until nothing is left to be done, however often the link ends."""
        while True:
            if self.device.client.ended.is_set():
                self._come_back()
            if not self.device.unacknowledged and self.device.is_here and self.device.confirm():
                self.is_settled = True
                if self.device.client.ended.wait(5.0):
                    self.device.lost()
                    self.is_settled = False
            else:
                self._ask()
                gevent.sleep(0.2)

    # Links

    def _come_back(self) -> None:
        """Try until there is a session again."""
        pause_s = SOON_S
        while True:
            try:
                return self._return()
            except MISTAKES as mistake:
                self.device.give_up(str(mistake))
            except LOST as lost:
                self.device.client.cut()
                gevent.sleep(self._rng.uniform(0.5, 1.0) * pause_s)
                pause_s = min(2.0, 2 * pause_s)
                if not isinstance(lost, StreamEnded):
                    pause_s = min(2.0, 2 * pause_s)

    def _return(self) -> None:
        device = self.device
        if self.habit in ("renewer", "forgetful") and self._rng.random() < 0.6:
            self._renew()
        elif device.client.session_id and not self._has_closed:
            device.resume(max_s=self._max_s)
        else:
            device.log_in(max_s=self._max_s)
            self._has_closed = False
        self._asks_at = time.monotonic() + self._rng.uniform(0.5, 1.5) * ASK_S

    _has_closed = False

    def _renew(self) -> None:
        """Whatever the server still has of the former session is as it is, and may be used until the new one is."""
        device = self.device
        device.note(told.Leaving(device.now, device.number, device.session, "anew"))
        device.log_in()

    def _ask(self) -> None:
        """Is the link still there, and has the server what was sent?"""
        device = self.device
        self._asks_at = time.monotonic() + self._rng.uniform(0.5, 1.5) * ASK_S
        before = device.unacknowledged
        with suppress(*LOST):
            device.client.request_ack()
        if not device.confirm() and not device.client.ended.is_set():
            device.cut(f"silent for {PATIENCE_S:g} s, {before} unacknowledged")
            device.client.ended.set()

    # Acts

    def _plan_acts(self) -> None:
        longest = {"steady": 0.0, "dropper": 12.0, "sleeper": 6.0}.get(self.habit, 20.0)
        self._acts_at = time.monotonic() + self._rng.uniform(0.3, 1.0) * longest if longest else float("inf")

    def _act(self) -> None:
        act = {"sleeper": self._sleep, "leaver": self._leave, "expirer": self._expire}.get(self.habit, self._drop)
        act()

    def _drop(self) -> None:
        self.device.cut("by itself", reset=self._rng.random() < 0.5)
        self._away(self._rng.choice((0.0, 0.0, 1.0, 4.0)))
        self._come_back()

    def _sleep(self) -> None:
        device = self.device
        if device.unacknowledged or not device.is_here or not device.confirm():
            return
        self.pushed.clear()
        device.note(told.Asleep(device.now, device.number))
        device.cut("asleep", reset=self._rng.random() < 0.5)
        was_pushed = self.pushed.wait(TIMER_S)
        if was_pushed and not self._is_over:
            gevent.sleep(self._rng.uniform(0, 0.5))
        why = "end" if self._is_over else "push" if was_pushed else "timer"
        device.note(told.Awake(device.now, device.number, why))
        self._come_back()

    def _leave(self) -> None:
        if self.device.unacknowledged or not self.device.is_here:
            return  # who wants an answer waits for it
        if self._rng.random() < 0.7 and not self.device.confirm():
            return
        self.device.close()
        self._has_closed = True
        self._away(self._rng.uniform(1.0, 8.0))
        self._come_back()

    def _expire(self) -> None:
        device = self.device
        device.note(told.Leaving(device.now, device.number, device.session, "expire"))
        device.cut("for too long", reset=self._rng.random() < 0.5)
        self._away(self._rng.uniform(0.5, 2.5) * EXPIRES_S)
        self._come_back()

    def _away(self, seconds: float) -> None:
        """At the end of the run everybody comes at once."""
        until = time.monotonic() + seconds
        while not self._is_over and time.monotonic() < until:
            gevent.sleep(min(0.5, seconds))
