"""How statements reach the database without holding up the process: SQLite in a thread of its own, since it blocks;
PostgreSQL from greenlets, since psycopg waits cooperatively.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import gevent
import sqlalchemy as sa
from gevent import monkey
from gevent.lock import BoundedSemaphore
from gevent.threadpool import ThreadPool
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import StaticPool

from gateway.archive.errors import ArchiveForeign, ArchiveRefused, ArchiveUnavailable
from gateway.archive.schema import prepare

T = TypeVar("T")

CONNECTIONS: Final = 8
"""to PostgreSQL, per process; more queries wait"""

WAL_PAUSE_S: Final = 0.02

_thread_sleep: Final[Callable[[float], None]] = monkey.get_original("time", "sleep")
"""SQLite's thread has no greenlets"""

MOST_STEPS: Final = 2
"""A piece of work ends after so many times the timeout: to connect, and to be done."""


class Database:
    """One database, opened at the first use. `address` as SQLAlchemy takes it; `timeout_s` bounds each step.

    With SQLite all work is done in one thread, which is the only one that ever touches its connection.
    """

    def __init__(self, address: str, *, timeout_s: float = 10.0) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._is_sqlite = address.startswith("sqlite")
        self._thread = ThreadPool(1) if self._is_sqlite else None
        self._opening = BoundedSemaphore(1)
        self._engine: sa.Engine | None = None

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Do `work` in one transaction. Raises ArchiveError.

        With SQLite `work` runs in another thread: it must touch nothing but the connection.
        """
        try:
            with gevent.Timeout(MOST_STEPS * self._timeout_s):
                with self._opening:
                    if self._engine is None:
                        self._engine = self._elsewhere(self._open)
                return self._elsewhere(lambda: self._transact(work))
        except gevent.Timeout as late:
            raise ArchiveUnavailable("the archive's database did not answer in time") from late
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise ArchiveUnavailable(f"the archive's database: {_why(error)}") from error
        except SQLAlchemyError as error:
            raise ArchiveRefused(f"the archive's database: {_why(error)}") from error

    def close(self) -> None:
        """Close what is open; the next use opens it again."""
        engine, self._engine = self._engine, None
        if engine is not None:
            with gevent.Timeout(self._timeout_s, False):
                self._elsewhere(engine.dispose)

    def _elsewhere(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            return work()
        done: Any = self._thread.spawn(_caught, work)
        value, error = done.get()
        if error is not None:
            raise error
        found: T = value
        return found

    def _transact(self, work: Callable[[sa.Connection], T]) -> T:
        assert self._engine is not None
        with self._engine.begin() as connection:
            return work(connection)

    def _open(self) -> sa.Engine:
        engine = self._sqlite() if self._is_sqlite else self._postgresql()
        try:
            with engine.begin() as connection:
                prepare(connection)
        except (SQLAlchemyError, ArchiveForeign):
            engine.dispose()
            raise
        return engine

    def _sqlite(self) -> sa.Engine:
        url = sa.make_url(self._address)
        if url.database:
            file = Path(url.database)
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.touch(mode=0o600)  # people's conversations; what SQLite keeps beside it takes the same mode
        engine = sa.create_engine(
            url, poolclass=StaticPool, connect_args={"timeout": self._timeout_s, "check_same_thread": False}
        )

        def connected(connection: Any, _record: object) -> None:
            # WAL: who reads is not held up by the one who writes. What was committed survives the death of the process
            # with either mode of synchronous, and with FULL a power cut as well: Redis forgets after the commit.
            # What is deleted is overwritten: somebody wanted it gone.
            _write_ahead(connection, self._timeout_s)
            for pragma in ("synchronous=FULL", "secure_delete=ON"):
                connection.execute(f"PRAGMA {pragma}")

        sa.event.listen(engine, "connect", connected)
        return engine

    def _postgresql(self) -> sa.Engine:
        limit_ms = int(self._timeout_s * 1000)
        return sa.create_engine(
            self._address,
            pool_size=2,
            max_overflow=CONNECTIONS - 2,
            pool_timeout=self._timeout_s,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": max(2, int(self._timeout_s)),
                "options": f"-c statement_timeout={limit_ms} -c lock_timeout={limit_ms}",
                "application_name": "wakegate",
            },
        )


def _write_ahead(connection: Any, timeout_s: float) -> None:
    """Of several that make a new file WAL at once, SQLite refuses all but one, without its usual wait."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            _thread_sleep(WAL_PAUSE_S)
        else:
            return


def _caught(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """Errors come back as values: gevent would print each one that ends a task of its pool."""
    try:
        return work(), None
    except BaseException as error:  # noqa: BLE001 - raised again by the greenlet that waits
        return None, error


def _why(error: SQLAlchemyError) -> str:
    """One line, without the statement and its parameters, which hold what people wrote."""
    original = getattr(error, "orig", None)
    lines = str(original or type(error).__name__).strip().splitlines()
    return lines[0] if lines else type(error).__name__
