"""Many accounts at once: passwords are hashed on all cores, and the store commits in groups."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from gevent.pool import Pool
from gevent.threadpool import ThreadPool
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.errors import WakegateError
from gateway.mailbox.accounts import Accounts
from gateway.xmpp.sasl.credentials import derive

LARGEST_REPORT: Final = 20
"""Wrong lines that are spelt out."""

_AT_A_TIME: Final = 64


@dataclass
class Imported:
    """What became of the lines."""

    made: int = 0
    existed: int = 0
    wrong: int = 0
    faults: list[str] = field(default_factory=list)

    def refuse(self, number: int, why: str) -> None:
        """Count a wrong line; the first ones are kept to be shown. The line itself may hold a password."""
        self.wrong += 1
        if len(self.faults) < LARGEST_REPORT:
            self.faults.append(f"line {number}: {why}")


def import_accounts(lines: Iterable[str], accounts: Accounts, checked: Callable[[str], str]) -> Imported:
    """Make an account for each line `localpart@domain:password`; shows its progress on a terminal.

    `checked` answers the bare JID, prepared, or raises a WakegateError. Empty lines are skipped. Raises StoreError.
    """
    result = Imported()
    numbered = [(number, line.rstrip("\r\n")) for number, line in enumerate(lines, 1) if line.strip()]
    # hashlib lets go of the interpreter's lock while it hashes, so threads are enough to use all cores.
    threads = ThreadPool(os.cpu_count() or 1)

    def make(item: tuple[int, str]) -> None:
        number, line = item
        address, colon, password = line.partition(":")
        if not colon:
            result.refuse(number, "localpart@domain:password is needed, there is no colon")
            return
        try:
            user = checked(address)
        except WakegateError as error:
            result.refuse(number, str(error))
            return
        if accounts.credentials(user) is not None:
            result.existed += 1
            return
        fields = threads.apply(_hash, (password,))
        if isinstance(fields, WakegateError):
            result.refuse(number, str(fields))
        elif accounts.create(user, fields):
            result.made += 1
        else:
            result.existed += 1

    try:
        with _progress() as progress:
            for _ in progress.track(_at_once(make, numbered), total=len(numbered), description="importing"):
                pass
    finally:
        threads.kill()
    return result


def _hash(password: str) -> dict[str, str] | WakegateError:
    """Runs in a thread. An error is a value, because the thread pool would print its traceback."""
    try:
        return derive(password, salt=os.urandom(16)).to_fields()
    except WakegateError as error:
        return error


def _at_once(make: Callable[[tuple[int, str]], None], items: list[tuple[int, str]]) -> Iterator[None]:
    yield from Pool(_AT_A_TIME).imap_unordered(make, items, maxsize=_AT_A_TIME)


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
