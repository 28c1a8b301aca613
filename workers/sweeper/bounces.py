"""Messages and requests whose recipient's session ended go back to their senders as errors (RFC 6120 section 8.3.1)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import gevent
from gevent.event import AsyncResult
from gevent.queue import Empty, Queue

from gateway.mailbox import entry, keys
from gateway.mailbox.errors import StoreError, StoreUnavailable
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Delivery, Origin, Placed, Status
from gateway.mailbox.nodes import Sweep
from gateway.mailbox.notices import publish_entries
from gateway.telemetry import get_logger
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.stanza import NotAnElement, error_reply, is_answerable, peek
from workers.sweeper.broadcasts import Broadcasts

log = get_logger(__name__)

REMEMBERED_MS = 86_400_000
"""A mailbox knows for a day which entries it took: longer than any sweeper stands still between its two steps."""

ANSWER_S = 30.0
"""how long a delivery is waited for; later the entry is still there and tried again"""

SPARED_MS = 1000
"""A gateway hands on by itself the subscription stanza that it has just written. External components, which keep no
account of what they have seen, would get it twice if a sweeper did the same in that moment. (Presence may come twice,
and must not wait: whoever is to be told is looked up then, and may have been a contact no longer.)
"""

PIECE = 100
"""Entries of one bucket's outbox that are under way at a time."""

_KINDS = {"message": entry.MESSAGE, "iq": entry.IQ_RESPONSE, "presence": entry.PRESENCE}


@dataclass(frozen=True, slots=True)
class Bounce:
    """An error on its way to the sender of what could not be delivered."""

    to: JID
    sender: str
    kind: str
    stanza: bytes


class NotBounced(Exception):
    """This entry must not, or cannot, be returned; the text says why."""


def bounce_of(stanza: bytes, domains: Collection[str], components: Collection[str] = ()) -> Bounce:
    """The error for a stanza that its recipient's session never acknowledged; `domains` are those served here,
    `components` those of external components (XEP-0114), any address of which may be a sender.

    It is `service-unavailable`, as XEP-0160 section 2 has it, or `remote-server-timeout` from a component. Of presence
    only that to a component waits here, and what asks to be let in (XEP-0045) is answered. Raises NotBounced.
    """
    try:
        element = peek(stanza)
        to = JID.parse(element.attrs.get("from", ""))
    except (NotAnElement, JIDError) as unreadable:
        raise NotBounced("unreadable") from unreadable
    if element.name not in _KINDS or not is_answerable(element.name, element.attrs.get("type")):
        raise NotBounced("no-answer-allowed")  # an error is never answered by an error
    away = _domain_of(element.attrs.get("to", "")) in components
    if element.name == "presence" and not (away and element.attrs.get("type") is None):
        raise NotBounced("no-answer-allowed")
    if to.domain not in components and (to.domain not in domains or not to.local):
        raise NotBounced("not-local")
    condition = StanzaCondition.REMOTE_SERVER_TIMEOUT if away else StanzaCondition.SERVICE_UNAVAILABLE
    return Bounce(to, element.attrs.get("to", ""), _KINDS[element.name], error_reply(element, StanzaError(condition)))


def _domain_of(jid: str) -> str:
    return jid.partition("/")[0].rpartition("@")[2]


class Bouncer:
    """Empties outboxes; what is no bounce `Broadcasts` carries. An entry leaves its outbox only after the sender's
    mailbox has taken the error.

    The entry's id is the error's origin, so that the mailbox takes it once, however many sweepers deliver it and
    wherever one of them is killed.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        sweep: Sweep,
        *,
        domains: Collection[str],
        components: Collection[str] = (),
        spared_ms: int = SPARED_MS,
    ) -> None:
        self._spared_ms = spared_ms
        self._mailbox = mailbox
        self._sweep = sweep
        self._broadcasts = Broadcasts(mailbox, sweep)
        self._domains = frozenset(domains)
        self._components = frozenset(components)

    def empty(self, bucket: int) -> int:
        """Deliver what waits in one bucket's outbox; answers how many entries left it. Raises StoreError."""
        waiting = self._sweep.outbox(bucket, PIECE, spared_ms=self._spared_ms)
        # All go out before the first answer is waited for: they arrive in order, in one round trip.
        bounces = [(name, fields["stanza"]) for name, fields in waiting if fields["do"] == b"bounce"]
        sent = [(name, self._send(bucket, name, stanza)) for name, stanza in bounces]
        for name, answer in sent:
            if answer is not None:
                _expect(answer)
            self._sweep.posted(bucket, name)
        for name, fields in waiting:
            self._broadcasts.carry(bucket, name, fields)
        return len(waiting)

    def pick_up(self, bucket: int, account: str) -> None:
        """Go on with deliveries to other slots that a gateway has begun and not ended. Raises StoreError."""
        outcomes: Queue[Delivery | StoreError] = Queue()

        def done(outcome: Delivery | StoreError) -> None:
            if isinstance(outcome, Delivery):
                publish_entries(self._mailbox.journal, outcome.placed)
            outcomes.put(outcome)

        count = self._mailbox.pick_up(
            keys.bucket_prefix(bucket), account, done=done, copied=self._tell, error_for=self._error_for,
            age_ms=self._spared_ms,
        )  # fmt: skip
        for _ in range(count):
            try:
                outcome = outcomes.get(timeout=ANSWER_S)
            except Empty as late:
                raise StoreUnavailable("Redis did not answer in time") from late
            if isinstance(outcome, StoreError):
                raise outcome
        if count:
            log.info("transfers_picked_up", bucket=bucket, count=count)

    def _tell(self, placed: tuple[Placed, ...]) -> None:
        publish_entries(self._mailbox.journal, placed)

    def _error_for(self, stanza: bytes, flags: str) -> bytes | None:
        if entry.BOUNCES not in flags:
            return None
        try:
            return bounce_of(stanza, self._domains, self._components).stanza
        except NotBounced as why:
            log.info("bounce_dropped", reason=str(why))
            return None

    def fade(self, bucket: int, sid: str) -> None:
        """See `Broadcasts.fade`."""
        self._broadcasts.fade(bucket, sid)

    def _send(self, bucket: int, name: str, stanza: bytes) -> AsyncResult[Delivery | StoreError] | None:
        """None: there is nothing to deliver, the entry only leaves."""
        try:
            bounce = bounce_of(stanza, self._domains, self._components)
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
