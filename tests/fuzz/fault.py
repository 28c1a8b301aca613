"""What counts as a fault of an input, and where it is put."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.fuzz.target import MOST_S, Feed, Target


class TooSlow(BaseException):
    """No `Exception`, so that the code under test does not catch it."""


@contextmanager
def in_time(seconds: float = MOST_S) -> Iterator[None]:
    """Raises TooSlow inside the block when it does not end."""

    def ring(_: int, __: FrameType | None) -> None:
        raise TooSlow(f"no end after {seconds} s")

    former = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def name_of(data: bytes) -> str:
    """A file's name for an input."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()[:12]


def keep(target: Target, data: bytes, kind: str) -> Path:
    """Put an input into the target's corpus."""
    target.corpus.mkdir(parents=True, exist_ok=True)
    file = target.corpus / f"{kind}-{name_of(data)}"
    file.write_bytes(data)
    return file


def is_fault(feed: Feed, data: bytes) -> BaseException | None:
    """What an input raises that it must not."""
    try:
        with in_time():
            feed(data)
    except (Exception, TooSlow) as error:  # whatever it is, it is what we look for
        return error
    return None


def smallest(feed: Feed, data: bytes, fault: BaseException, seconds: float = 20.0) -> bytes:
    """The input with everything cut out that the same kind of fault does not need."""
    deadline = time.monotonic() + seconds

    def same(candidate: bytes) -> bool:
        found = is_fault(feed, candidate)
        return found is not None and _kind(found) == _kind(fault)

    return _cut(data, same, lambda: time.monotonic() > deadline)


def _cut(data: bytes, same: Callable[[bytes], bool], is_late: Callable[[], bool]) -> bytes:
    size = len(data) // 2
    while size:
        at = 0
        while at < len(data) and not is_late():
            shorter = data[:at] + data[at + size :]
            if same(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def _kind(error: BaseException) -> tuple[str, str]:
    """The type, and where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return type(error).__name__, where
