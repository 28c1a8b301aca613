"""While Redis does not answer: who stays, who is sent away, and what becomes of sessions that end meanwhile.

Clients stay connected for `[redis] patience`; nothing is acknowledged, and what they send waits in their own sockets.
Then their streams end with an error, a few at a time, so that they do not all come back at once. Sessions last: their
clients resume them when Redis is back, here or elsewhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from gateway.mailbox import keys
from gateway.mailbox.endings import close_later, hibernate_later
from gateway.mailbox.settings import RedisSettings
from gateway.telemetry import get_logger

if TYPE_CHECKING:
    from gateway.session.connection import Connection
    from gateway.session.node import Node
    from gateway.session.session import Session

log = get_logger(__name__)

LOOK_S: Final = 1.0
"""how often it is asked whether Redis answers"""

SPREAD: Final = 10
"""looks, over which the clients of a gateway are sent away"""


def end_later(session: Session, *, by_client: bool) -> None:
    """The connection of a session is over: what becomes of it is left to the store, and nobody waits for that."""
    mailbox, announce = session.node.mailbox, session.node.router.announce
    if by_client:
        close_later(mailbox, session.grip, announce)
        return
    grace_ms = int(session.node.settings["push"].offered_grace * 1000)
    hibernate_later(
        mailbox, session.grip, sent=session.cursor.sent, grace_ms=grace_ms, told=session.told, announce=announce
    )


class Patience:
    """Sends the clients of a gateway away when Redis has been silent for too long. `look` is called every `LOOK_S`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._patience_s = node.settings.of(RedisSettings).patience
        self._share = 0

    def look(self) -> None:
        """End some streams, if Redis has been silent for longer than clients should wait. Never blocks.

        Of a cluster those of clients whose server is silent; who has not logged in is nobody's.
        """
        silent = self._node.mailbox.journal.silent_prefixes(self._patience_s)
        if not silent:
            self._share = 0
            return
        is_all = len(silent) == keys.BUCKETS
        waiting = [
            connection
            for connection in self._node.connections
            if connection.is_serving and (is_all or _prefix_of(connection) in silent)
        ]
        if not waiting:
            return
        if not self._share:
            self._share = math.ceil(len(waiting) / SPREAD)
            log.error("clients_sent_away", clients=len(waiting), buckets=len(silent), patience_s=self._patience_s)
        for connection in waiting[: self._share]:
            connection.lose_patience()


def _prefix_of(connection: Connection) -> str | None:
    return connection.session.grip.at if connection.session is not None else None
