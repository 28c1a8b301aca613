"""Unix time that can be moved forward, so that tokens age without anybody waiting an hour."""

import time

from gevent.event import Event


class Clock:
    """The sandbox's time in seconds since 1970: the machine's, plus what a test has advanced it by."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._stopped_at: float | None = None
        self._moved = Event()

    def now(self) -> float:
        """The present, in Unix seconds."""
        machine = time.time() if self._stopped_at is None else self._stopped_at
        return machine + self._ahead_s

    def now_ms(self) -> int:
        """The present, in Unix milliseconds, as APNs and the record count it."""
        return int(self.now() * 1000)

    def advance(self, seconds: float) -> None:
        """Move the sandbox's time forward (or, with a negative number, back)."""
        self._ahead_s += seconds
        self._moved.set()
        self._moved = Event()

    def stop(self) -> None:
        """Let the time stand still, but for `advance`: what is counted then does not depend on the machine."""
        if self._stopped_at is None:
            self._stopped_at = time.time()

    def go_on(self) -> None:
        """Let the sandbox's time run with the machine's again, without a jump."""
        if self._stopped_at is not None:
            self._ahead_s -= time.time() - self._stopped_at
            self._stopped_at = None

    @property
    def is_stopped(self) -> bool:
        """Whether only `advance` moves the time."""
        return self._stopped_at is not None

    def sleep_until(self, moment: float) -> None:
        """Wait until the sandbox's time has come to `moment`, in Unix seconds; `advance` shortens the wait."""
        while (left_s := moment - self.now()) > 0:
            self._moved.wait(left_s)

    @property
    def ahead_s(self) -> float:
        """By how many seconds the sandbox's time has been moved."""
        return self._ahead_s
