"""How commands reach the mailboxes: through the running server, or through one that lives as long as the command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gateway.mailbox import embedded
from gateway.mailbox.journal import Journal
from gateway.mailbox.opening import open_journal
from gateway.mailbox.settings import RedisSettings
from gateway.sections import ServerSettings
from gateway.settings import Settings

CONNECT_TIMEOUT_S = 10.0


@contextlib.contextmanager
def open_store(settings: Settings) -> Iterator[Journal]:
    """A journal that is connected; if the embedded server does not run, it is started for as long as this is open.

    Raises StoreUnavailable if the configured Redis does not answer, EmbeddedServerError if ours does not come up.
    """
    redis = settings.of(RedisSettings)
    if redis.url != embedded.EMBEDDED:
        with connect(settings) as journal:
            yield journal
    else:
        data_dir = settings.of(ServerSettings).data_dir
        with embedded.temporary(data_dir, appendfsync=redis.appendfsync), connect(settings) as journal:
            yield journal


@contextlib.contextmanager
def connect(settings: Settings) -> Iterator[Journal]:
    """A journal that is connected to a server that runs already. Raises StoreUnavailable if it does not answer."""
    journal = open_journal(settings.of(RedisSettings), settings.of(ServerSettings).data_dir)
    journal.start()
    try:
        journal.wait_up(CONNECT_TIMEOUT_S)
        yield journal
    finally:
        journal.stop()
