"""On each connection to Redis: has it still got what the clients of this process were told? See `mailbox.timeline`."""

from __future__ import annotations

from collections.abc import Collection

from gateway.mailbox import timeline
from gateway.mailbox.timeline import Claim, Converse, Verdict
from gateway.session.node import Node
from gateway.session.session import Session
from gateway.telemetry import get_logger

log = get_logger(__name__)


class Proof:
    """Speaks for all live sessions of one gateway."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._run_ids: dict[str, str] = {}
        self.writes_lost = 0
        """stanzas that were acknowledged to their senders and are lost, as far as this process knows"""

    def __call__(self, converse: Converse, prefixes: Collection[str], run_id: str) -> None:
        """See `timeline.Proof`. Runs before anything else that waits is sent: it must not use the journal."""
        claimed = {
            Claim(session.user, session.grip, session.cursor.sent, session.cursor.acked, session.told): session
            for session in self._node.registry.all()
            if session.grip.at in prefixes and not session.is_lost
        }
        mailbox = self._node.mailbox
        for claim, verdict in timeline.verify(converse, claimed, mailbox.node, mailbox.end_arguments):
            is_other = self._run_ids.get(claim.grip.at, run_id) != run_id
            self._heed(claimed[claim], claim, verdict, is_other=is_other)
        self._run_ids.update(dict.fromkeys(prefixes, run_id))

    def _heed(self, session: Session, claim: Claim, verdict: Verdict, *, is_other: bool) -> None:
        """`is_other`: Redis is not the one that knew of the session; else what is gone was ended by somebody."""
        if verdict.status == "ok":
            session.cursor.rewind(verdict.tail)
        elif verdict.status == "stale" or (verdict.status == "gone" and not is_other):
            session.lost()
        else:
            lost = max(0, claim.told - verdict.h)
            self.writes_lost += lost
            log.error(
                "writes_lost",
                session=claim.grip.sid,
                status=verdict.status,
                acknowledged=lost,
                delivered=max(0, claim.sent - verdict.kept),
                all=self.writes_lost,
                hint="docs/durability.md",
            )
            session.forsaken()
