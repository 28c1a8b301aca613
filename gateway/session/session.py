"""A bound session on its connection: what comes in is counted and routed, what goes out is the cursor's.

The session outlives the connection: when the socket is lost it hibernates in the mailbox, and a new `Session` object
takes it over on
whatever node the client comes back to (XEP-0198 section 5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gevent.event import Event

from gateway.features import presence
from gateway.limits.quota import counted
from gateway.mailbox import entry
from gateway.mailbox.errors import StoreError, StoreFull, StoreUnavailable
from gateway.mailbox.model import Grip
from gateway.mailbox.settings import SmacksSettings
from gateway.session.away import end_later
from gateway.session.cursor import Cursor
from gateway.session.inbound import FAIR_SHARE, AckRequest, Arrival, Arrivals, hold_back
from gateway.session.node import Node
from gateway.telemetry import get_logger
from gateway.xmpp import counter, ns
from gateway.xmpp.errors import StanzaCondition, StanzaError, StreamCondition, StreamError, memory_full
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.stanza import Element, error_reply, is_answerable

log = get_logger(__name__)

LAST_WORDS_S = 3.0
"""how long the end of a connection waits for the store, so that the last <a/> can be told"""


class Pipe(Protocol):
    """What a session needs of its connection."""

    def write(self, data: bytes) -> None:
        """Bytes for the client."""

    def backlog(self) -> int:
        """Bytes the socket has not taken yet."""

    def end(self, error: StreamError | None) -> None:
        """Close the stream, from any greenlet; with an error, or without a word for a session that shall be resumed."""


class Session:
    """One session whose socket is in this process. Closed: features keep their state elsewhere."""

    fair_share = FAIR_SHARE

    __slots__ = (
        "_pipe",
        "arrivals",
        "cursor",
        "grip",
        "has_failed",
        "has_said_last_words",
        "inbound",
        "is_lost",
        "is_resumable",
        "jid",
        "kept",
        "node",
        "origin_id",
        "origin_keep_ms",
        "stored",
        "user",
    )

    def __init__(
        self,
        *,
        node: Node,
        pipe: Pipe,
        jid: JID,
        grip: Grip,
        started_ms: int,
        acked: int = 0,
        tail: int = 0,
        inbound: int = 0,
    ) -> None:
        smacks = node.settings.of(SmacksSettings)
        self.node = node
        self._pipe = pipe
        self.jid = jid
        self.user = str(jid.bare)
        self.grip = grip
        self.cursor = Cursor(
            grip=grip,
            mailbox=node.mailbox,
            rhythm=node.rhythm,
            write=pipe.write,
            backlog=pipe.backlog,
            lost=self.lost,
            failed=self.store_failed,
            domain=jid.domain,
            window=smacks.smacks_window,
            started_ms=started_ms,
            acked=acked,
            tail=tail,
        )
        self.arrivals = Arrivals(inbound)
        self.inbound = inbound
        """stanzas received"""
        self.kept = inbound
        """the inbound count the mailbox knows, or is being told"""
        self.stored = inbound
        """the inbound count the mailbox has answered for"""
        self.is_resumable = False
        self.has_said_last_words = False
        self.has_failed = False
        """the store refused something: what has no outcome yet will get none on this connection"""
        self.is_lost = False
        """another connection has the session now, or it is gone: nothing of it may be written any more"""
        # Before XEP-0198 is on nothing can be resumed, so the origin only has to outlive a lost connection to Redis.
        self.origin_id = grip.sid + "-"
        self.origin_keep_ms = 60_000

    def count_stanzas(self, *, resumable: bool, keep_ms: int) -> None:
        """XEP-0198 is on: from here on inbound stanzas are known by this session's id and count."""
        self.is_resumable = resumable
        self.inbound = self.kept = self.stored = self.arrivals.finished = 0
        self.origin_id = self.grip.sid
        self.origin_keep_ms = keep_ms

    def resume_counting(self, *, base: int, keep_ms: int) -> None:
        """The session was resumed: counts go on, they are not reset."""
        self.is_resumable = True
        self.origin_id = self.grip.sid
        self.origin_keep_ms = keep_ms
        self.cursor.base = base
        self.cursor.counts = True

    def rest(self, is_inactive: bool) -> None:
        """See `hooks.SessionView`: the mailbox tells the cursor less of an inactive session's queue."""
        self.cursor.is_inactive = is_inactive
        self.node.rhythm.state_changed(self.cursor)
        self.node.mailbox.rest(self.grip, is_inactive, self._rested)

    def _rested(self, answer: Any) -> None:
        if isinstance(answer, StoreError):
            self.store_failed(answer)
        elif answer is None:
            self.lost()
        else:
            self.cursor.reaches(answer)

    def write(self, data: bytes) -> None:
        """Write something that is no stanza of the queue's."""
        self._pipe.write(data)

    def receive(self, element: Element) -> None:
        """Take one stanza from the client. Waits when too many are on their way. Raises StreamError."""
        self.inbound += 1
        arrival = Arrival(self, self.inbound)
        self.arrivals.add(arrival)
        try:
            self._route(element, arrival)
        except StanzaError as error:
            self._refuse(element, counted(error), arrival)
        except StoreFull:
            self._refuse(element, memory_full(), arrival)
        except (StreamError, StoreError):
            self.arrivals.take_back(arrival)
            raise
        except Exception:  # our fault: if it ended the stream, the client would send the stanza again for ever
            log.exception("stanza_failed", session=self.grip.sid, name=element.name)
            self._refuse(element, StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR), arrival)
        hold_back(self)

    def _route(self, element: Element, arrival: Arrival) -> None:
        if element.ns != ns.CLIENT:
            raise StreamError(StreamCondition.INVALID_NAMESPACE)
        sender = element.attrs.get("from")
        if sender is not None and sender not in (str(self.jid), self.user):
            self._check_from(sender)
        to_text = element.attrs.get("to")
        try:
            to = JID.parse(to_text) if to_text is not None else None
        except JIDError as error:
            raise StanzaError(StanzaCondition.JID_MALFORMED, str(error)) from error
        if element.name == "presence" and to is None and element.attrs.get("type") in (None, "unavailable"):
            self._own_presence(element, arrival)
        else:
            self.node.router.route(element, to, arrival)

    def _check_from(self, sender: str) -> None:
        """RFC 6120 section 8.1.2.1: `from` is the full or the bare JID of the session, or the stream ends."""
        try:
            jid = JID.parse(sender)
        except JIDError:
            jid = None
        if jid not in (self.jid, self.jid.bare):
            raise StreamError(StreamCondition.INVALID_FROM)

    def _refuse(self, element: Element, error: StanzaError, arrival: Arrival) -> None:
        if not is_answerable(element.name, element.attrs.get("type")):
            arrival.settled()
            return
        reply = error_reply(element, error, to=str(self.jid))
        arrival.reply(entry.MESSAGE if element.name == "message" else entry.IQ_RESPONSE, reply)

    def _own_presence(self, element: Element, arrival: Arrival) -> None:
        """RFC 6121 sections 4.2 to 4.5. Waits for the mailbox, so that what comes next cannot overtake it."""
        said = presence.broadcast(self, element, self.node.router, arrival.settled)
        if said is None:
            self.lost()
        else:
            self.cursor.reaches(said.tail)

    def append(self, kind: str, stanza: bytes, *, inbound: int | None) -> None:
        """Queue a stanza of the server's own for this client, with the inbound count it answers."""

        def done(answer: Any) -> None:
            self.arrivals.answer_stored()
            if isinstance(answer, StoreError):
                self.store_failed(answer)
            elif answer[0] == "ok":
                self.cursor.notice(answer[1], stanza) if answer[1] else None
            elif answer[0] == "stale":
                self.lost()
            elif answer[0] == "duplicate":
                self.cursor.look()
            else:
                self._did_not_fit(answer[0])

        count = inbound if self.cursor.counts else None
        if count is not None and count > self.kept:
            self.kept = count
        self.arrivals.answer_submitted()
        self.node.mailbox.append(self.grip, kind=kind, flags="", inbound=count, stanza=stanza, done=done)

    def has_queued(self, position: int, stanza: bytes) -> None:
        """The mailbox has queued an answer for this client by itself (position 0: it waits; -1: it did not fit)."""
        if position > 0:
            self.cursor.notice(position, stanza)
        elif position < 0:
            self._did_not_fit("full")

    def _did_not_fit(self, why: str) -> None:
        log.warning("answer_did_not_fit", session=self.grip.sid, why=why)
        self._pipe.end(StreamError(StreamCondition.RESOURCE_CONSTRAINT, "read and acknowledge what is queued"))

    def ack_requested(self) -> None:
        """The client sent <r/>. Waits as `receive` does."""
        self.arrivals.add(AckRequest(self, self.inbound))
        self.arrivals.advance()
        hold_back(self)

    def acknowledge_inbound(self, count: int, told: Callable[[], None] | None = None) -> None:
        """Everything up to `count` has its outcome: keep that, then tell it. Nothing is told before
        the store has it.
        """

        def tell() -> None:
            if not self.is_lost:
                self._pipe.write(b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % counter.wire(count))
            if told is not None:
                told()

        def done(answer: Any) -> None:
            self.arrivals.answer_stored()
            if isinstance(answer, StoreError):
                self.store_failed(answer)
            elif answer:
                self.stored = max(self.stored, count)
                tell()
                return
            else:
                self.lost()
            if told is not None:
                told()

        if self.stored >= count:
            tell()
            return
        self.kept = max(self.kept, count)
        self.arrivals.answer_submitted()
        self.node.mailbox.handled(self.grip, count, done)

    def count_is_stored(self, count: int) -> None:
        """The delivery of that stanza moved the count in the mailbox as well."""
        self.kept = max(self.kept, count)
        self.stored = max(self.stored, count)

    def keep_inbound(self) -> None:
        """Keep the inbound count, though nobody asked: what <resumed h/> tells has to be exact. A client whose h
        is behind what was taken may send something else under the counts in between.
        """
        count = self.arrivals.finished
        if count > self.kept and self.cursor.counts:
            self.kept = count
            self.node.mailbox.handled(self.grip, count, self._counted(count))

    def _counted(self, count: int) -> Callable[[Any], None]:
        def done(answer: Any) -> None:
            if answer is False:
                self.lost()
            elif answer is True:
                self.stored = max(self.stored, count)

        return done

    @property
    def told(self) -> int:
        """The inbound count that the client was told, or may be told without asking the store once more."""
        return self.stored if self.cursor.counts else 0

    def lost(self) -> None:
        """Another connection owns the session, or it has ended: this one touches nothing (RFC 6120 section 4.9.3.3)."""
        self._give_up(StreamError(StreamCondition.CONFLICT))

    def removed(self, why: str) -> None:
        """The session was ended from outside, perhaps with its account; `why` is for people."""
        self._give_up(StreamError(StreamCondition.NOT_AUTHORIZED, why))

    def forsaken(self) -> None:
        """Redis has lost something that the client was told, and has ended the session: <resume/> will get <failed/>
        with the count that is kept (XEP-0198 section 5), and the client sends again what is beyond it.
        """
        self._give_up(StreamError(StreamCondition.INTERNAL_SERVER_ERROR, "the store has lost this session"))

    def _give_up(self, error: StreamError) -> None:
        if not self.is_lost:
            self.is_lost = True
            self.cursor.stop()
            self._pipe.end(error)

    def store_failed(self, error: StoreError) -> None:
        """The store refused: nothing more can be promised on this connection. What was not acknowledged the client
        sends again.
        """
        if not isinstance(error, StoreUnavailable):
            log.error("session_store_failed", session=self.grip.sid, error=str(error))
        self.has_failed = True
        self._pipe.end(StreamError(StreamCondition.INTERNAL_SERVER_ERROR))

    def _hibernate(self) -> str:
        return self.node.mailbox.hibernate(
            self.grip,
            sent=self.cursor.sent,
            grace_ms=int(self.node.settings["push"].offered_grace * 1000),
            told=self.told,
        )

    def end(self, *, by_client: bool) -> None:
        """The connection is over. `by_client`: it closed its stream, which ends the session; a lost socket does not."""
        self.node.registry.remove(self)
        if self.is_lost:
            return
        try:
            self.say_last_words()
            if self.node.mailbox.journal.is_silent_at(self.grip.at):
                end_later(self, by_client=by_client)
            elif by_client or self._hibernate() == "not-resumable":
                self.node.router.announce(self.node.mailbox.close(self.grip))
                presence.farewell(self.user, self.node.router)
        except StoreError as error:
            # What was submitted takes effect as soon as Redis is back; should this process die first, its lease lapses.
            log.warning("session_end_delayed", session=self.grip.sid, error=str(error))
        finally:
            self.cursor.stop()

    def say_last_words(self) -> None:
        """Finish what is on its way and tell the last h (XEP-0198 section 4), or the client sends again what was
        handled. While the store is silent, h is what it has answered for.
        """
        if self.has_said_last_words:
            return
        self.has_said_last_words = True
        if self.node.mailbox.journal.is_silent_at(self.grip.at):
            if self.cursor.counts:
                self.acknowledge_inbound(self.stored)
            return
        self.arrivals.wait_below(1, LAST_WORDS_S)
        if not self.cursor.counts:
            return
        count = self.arrivals.finished
        told = Event()
        self.acknowledge_inbound(count, told.set)
        told.wait(LAST_WORDS_S)
