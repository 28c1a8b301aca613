"""Many accounts at once: passwords are hashed on all cores, and the store commits in groups."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import gevent
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.hashing import Hasher
from gateway.errors import WakegateError
from gateway.mailbox.accounts import Accounts

LARGEST_REPORT: Final = 20
"""Wrong lines that are spelt out."""

_AT_A_TIME: Final = 64

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Imported:
    """What became of the lines."""

    made: int = 0
    existed: int = 0
    wrong: int = 0
    _reasons: dict[int, str] = field(default_factory=dict)

    @property
    def faults(self) -> list[str]:
        """The first wrong lines and why. A line itself may hold a password, and is not shown."""
        return [f"line {number}: {why}" for number, why in sorted(self._reasons.items())[:LARGEST_REPORT]]

    def refuse(self, number: int, why: str) -> None:
        """Count a wrong line."""
        self.wrong += 1
        self._reasons[number] = why


def import_accounts(lines: Iterable[str], accounts: Accounts, checked: Callable[[str], str]) -> Imported:
    """Make an account for each line `localpart@domain:password`; shows its progress on a terminal.

    `checked` answers the bare JID, prepared, or raises a WakegateError. Empty lines are skipped. Raises StoreError,
    HashingError.
    """
    result = Imported()
    numbered = [(number, line.rstrip("\r\n")) for number, line in enumerate(lines, 1) if line.strip()]
    pieces = deque(numbered[start : start + _AT_A_TIME] for start in range(0, len(numbered), _AT_A_TIME))
    with _progress() as progress:
        task = progress.add_task("importing", total=len(numbered))

        def work() -> None:
            with Hasher() as hasher:
                while pieces:
                    piece = pieces.popleft()
                    _make(_readable(piece, checked, result), accounts, hasher, result)
                    progress.advance(task, len(piece))

        _all_of(lambda _number: work(), range(min(len(pieces), os.cpu_count() or 1)))
    return result


def _all_of(do: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """`do` for all of them at once. The first WakegateError ends all and is raised.

    It leaves its greenlet as a value: as an exception it would be printed there, with a traceback.
    """

    def attempt(item: T) -> R | WakegateError:
        try:
            return do(item)
        except WakegateError as error:
            return error

    found = []
    crew = [gevent.spawn(attempt, item) for item in items]
    try:
        for one in crew:
            value = one.get()
            if isinstance(value, WakegateError):
                raise value
            found.append(value)
    finally:
        gevent.killall(crew)
    return found


def _readable(
    piece: list[tuple[int, str]], checked: Callable[[str], str], result: Imported
) -> list[tuple[int, str, str]]:
    """Line number, bare JID and password of each line that holds them."""
    found = []
    for number, line in piece:
        address, colon, password = line.partition(":")
        if not colon:
            result.refuse(number, "localpart@domain:password is needed, there is no colon")
            continue
        try:
            found.append((number, checked(address), password))
        except WakegateError as error:
            result.refuse(number, str(error))
    return found


def _make(wanted: list[tuple[int, str, str]], accounts: Accounts, hasher: Hasher, result: Imported) -> None:
    # All of a piece at once: they share a few round trips to Redis.
    known = _all_of(accounts.credentials, [user for _, user, _ in wanted])
    fresh = [one for one, fields in zip(wanted, known, strict=True) if fields is None]
    ready = []
    for (number, user, _), fields in zip(fresh, hasher.fields([one[2] for one in fresh]), strict=True):
        if isinstance(fields, str):
            result.refuse(number, fields)
        else:
            ready.append((user, fields))
    made = sum(_all_of(lambda item: accounts.create(*item), ready))
    result.made += made
    result.existed += len(wanted) - len(fresh) + len(ready) - made


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
