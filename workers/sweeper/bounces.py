"""Messages and requests whose recipient's session ended go back to their senders as errors (RFC 6120 section 8.3.1)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import gevent
from gevent.event import AsyncResult

from gateway.mailbox import entry
from gateway.mailbox.errors import StoreError, StoreUnavailable
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Delivery, Origin, Status
from gateway.mailbox.nodes import Sweep
from gateway.mailbox.notices import publish_entries
from gateway.telemetry import get_logger
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.stanza import NotAnElement, error_reply, is_answerable, peek

log = get_logger(__name__)

REMEMBERED_MS = 86_400_000
"""A mailbox knows for a day which entries it took: longer than any sweeper stands still between its two steps."""

ANSWER_S = 30.0
"""how long a delivery is waited for; later the entry is still there and tried again"""

PIECE = 100
"""Entries of one bucket's outbox that are under way at a time."""

_KINDS = {"message": entry.MESSAGE, "iq": entry.IQ_RESPONSE}


@dataclass(frozen=True, slots=True)
class Bounce:
    """An error on its way to the sender of what could not be delivered."""

    to: JID
    sender: str
    kind: str
    stanza: bytes


class NotBounced(Exception):
    """This entry must not, or cannot, be returned; the text says why."""


def bounce_of(stanza: bytes, domains: Collection[str]) -> Bounce:
    """The error for a stanza that its recipient's session never acknowledged; `domains` are those served here.

    It is `service-unavailable`, as XEP-0160 section 2 has it. Raises NotBounced.
    """
    try:
        element = peek(stanza)
        to = JID.parse(element.attrs.get("from", ""))
    except (NotAnElement, JIDError) as unreadable:
        raise NotBounced("unreadable") from unreadable
    if element.name not in _KINDS or not is_answerable(element.name, element.attrs.get("type")):
        raise NotBounced("no-answer-allowed")  # an error is never answered by an error
    if to.domain not in domains or not to.local:
        raise NotBounced("not-local")
    error = error_reply(element, StanzaError(StanzaCondition.SERVICE_UNAVAILABLE))
    return Bounce(to, element.attrs.get("to", ""), _KINDS[element.name], error)


class Bouncer:
    """Empties outboxes: an entry leaves its outbox only after the sender's mailbox has taken the error.

    The entry's id is the error's origin, so that the mailbox takes it once, however many sweepers deliver it and
    wherever one of them is killed.
    """

    def __init__(self, mailbox: Mailbox, sweep: Sweep, *, domains: Collection[str]) -> None:
        self._mailbox = mailbox
        self._sweep = sweep
        self._domains = frozenset(domains)

    def empty(self, bucket: int) -> int:
        """Deliver what waits in one bucket's outbox; answers how many entries left it. Raises StoreError."""
        waiting = self._sweep.outbox(bucket, PIECE)
        # All go out before the first answer is waited for: they arrive in order, in one round trip.
        sent = [(name, self._send(bucket, name, fields["stanza"])) for name, fields in waiting]
        for name, answer in sent:
            if answer is not None:
                _expect(answer)
            self._sweep.posted(bucket, name)
        return len(sent)

    def _send(self, bucket: int, name: str, stanza: bytes) -> AsyncResult[Delivery | StoreError] | None:
        """None: there is nothing to deliver, the entry only leaves."""
        try:
            bounce = bounce_of(stanza, self._domains)
        except NotBounced as why:
            log.info("bounce_dropped", reason=str(why))
            return None
        answer: AsyncResult[Delivery | StoreError] = AsyncResult()
        self._mailbox.deliver(
            user=str(bounce.to.bare),
            resource=bounce.to.resource,
            sender=bounce.sender,
            origin=Origin(f"out-{bucket}-{name}", 1, REMEMBERED_MS),
            kind=bounce.kind,
            type="error",
            flags="",  # XEP-0160 section 3: an error is not stored; it waits only in the sender's own session
            stanza=bounce.stanza,
            done=self._tell_owners(bounce.stanza, answer.set),
        )
        return answer

    def _tell_owners(
        self, stanza: bytes, then: Callable[[Delivery | StoreError], None]
    ) -> Callable[[Delivery | StoreError], None]:
        def done(outcome: Delivery | StoreError) -> None:
            if isinstance(outcome, Delivery):
                publish_entries(self._mailbox.journal, outcome.placed, stanza)
            then(outcome)

        return done


def _expect(answer: AsyncResult[Delivery | StoreError]) -> None:
    """Wait until the mailbox has taken the error, or says that nobody is there to read it. Raises StoreError."""
    try:
        outcome = answer.get(timeout=ANSWER_S)
    except gevent.Timeout as late:
        raise StoreUnavailable("Redis did not answer in time") from late
    if isinstance(outcome, StoreError):
        raise outcome
    if outcome.status not in (Status.OK, Status.DUPLICATE):
        log.info("bounce_dropped", reason=outcome.status.value)
