"""A process's way to the archive's database.

SQLAlchemy takes a tenth of a second to load, and 20 MB: commands that need no archive load none of it, and a gateway
loads it before it serves.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from gateway.archive.reader import Reader
from gateway.archive.settings import ArchiveSettings
from gateway.mailbox.archives import Archives, set_default
from gateway.mailbox.journal import Journal
from gateway.mailbox.mailbox import Mailbox
from gateway.sections import ServerSettings
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.archive.store import ArchiveStore


def prepare(settings: Settings, journal: Journal) -> None:
    """What a gateway does before it serves: load what it will need, tell Redis what is archived by default."""
    store_of(settings)
    set_default(journal, settings.of(ArchiveSettings).archive_default)


def store_of(settings: Settings) -> ArchiveStore:
    """The process's store, as the settings say. Nothing is opened before it is used."""
    archive = settings.of(ArchiveSettings)
    return _store_at(archive.address(settings.of(ServerSettings).data_dir), archive.timeout_s)


def reader_of(settings: Settings, mailbox: Mailbox) -> Reader:
    """Reads archives with the process's connections."""
    return Reader(Archives(mailbox), store_of(settings))


@cache
def _store_at(address: str, timeout_s: float) -> ArchiveStore:
    from gateway.archive.database import Database
    from gateway.archive.store import ArchiveStore

    return ArchiveStore(Database(address, timeout_s=timeout_s))
