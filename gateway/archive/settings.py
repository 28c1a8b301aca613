"""[archive]: what an operator sets about message archives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote, urlsplit

from gateway.settings import Secret, setting

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql+psycopg"
FILE: Final = "archive.sqlite3"


@dataclass(frozen=True)
class ArchiveSettings:
    """[archive] XEP-0313: Message Archive Management. The recent part of each archive is in Redis, the rest in SQL."""

    url: str = setting(
        SQLITE,
        help='Where the older part is: "sqlite" is a file in data_dir, for one machine; in production '
        '"postgresql+psycopg://USER@HOST/DATABASE".',
    )
    password: Secret = setting(
        Secret(), secret=True, help='The PostgreSQL user\'s, if the address has none; "file:PATH" reads it from a file.'
    )
    archive_default: Literal["always", "never", "roster"] = setting(
        "always",
        choices=("always", "never", "roster"),
        help="What is archived for accounts that set no preference (XEP-0441); roster: messages with contacts only.",
    )
    archive_expires_after: int = setting(
        0, unit="days", least=0, most=36500, help="Older messages are deleted; 0 = kept for ever."
    )
    archive_max_messages: int = setting(
        0,
        unit="messages",
        least=0,
        most=100_000_000,
        help="Beyond so many per account the oldest are deleted; 0 = no limit.",
    )
    recent_days: float = setting(7.0, unit="days", least=0, most=3650, help="What is older moves from Redis into SQL.")
    recent_messages: int = setting(
        500, unit="messages", least=0, most=100_000, help="What is beyond so many per account moves into SQL earlier."
    )
    interval: float = setting(
        30.0, unit="s", least=0.05, most=86400, help="The archiver rests so long between two rounds."
    )
    default_page: int = setting(
        50, unit="messages", least=1, most=1000, help="Size of a page when the client asks for none."
    )
    largest_page: int = setting(250, unit="messages", least=1, most=1000, help="Size of a page at most.")
    timeout_s: float = setting(10.0, unit="s", least=0.5, most=120, help="How long the database may take to answer.")

    def faults(self) -> Iterator[str]:
        """A database that this server cannot use, and pages that contradict each other."""
        if self.url != SQLITE and urlsplit(self.url).scheme not in (SQLITE, POSTGRESQL):
            yield f'url: "sqlite", or an address that begins with {POSTGRESQL}://'
        if self.default_page > self.largest_page:
            yield f"default_page: {self.default_page}, more than largest_page, {self.largest_page}"

    def address(self, data_dir: Path) -> str:
        """The address as SQLAlchemy takes it."""
        if self.url == SQLITE:
            return f"sqlite:///{data_dir.absolute() / FILE}"
        if not self.password:
            return self.url
        split = urlsplit(self.url)
        user, _, place = split.netloc.rpartition("@")
        name = user.partition(":")[0]
        return split._replace(netloc=f"{name}:{quote(self.password.value(), safe='')}@{place}").geturl()
