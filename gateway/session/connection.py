"""One connection: bytes become events, events go to the negotiation and then to the session. One greenlet, which mostly
waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import gevent
from gevent.event import Event

from gateway.errors import WakegateError
from gateway.limits.hits import Limit, Outcome
from gateway.limits.visit import Visit
from gateway.mailbox.errors import StoreError
from gateway.sections import LimitSettings
from gateway.session import stream
from gateway.session.link import Link
from gateway.session.negotiation import Negotiation
from gateway.session.node import Node
from gateway.session.session import Session
from gateway.session.smacks import Smacks
from gateway.session.stream import CLOSE
from gateway.telemetry import get_logger
from gateway.xmpp import ns
from gateway.xmpp.errors import StreamCondition, StreamError, store_away
from gateway.xmpp.parser import ParserLimits, StreamClosed, StreamOpened, StreamParser
from gateway.xmpp.stanza import Element

log = get_logger(__name__)

BEFORE_AUTHENTICATION = ParserLimits(stanza_bytes=stream.UNAUTHENTICATED_BYTES, depth=8)
"""what somebody unknown may send at once"""

HANDSHAKE_S = 20.0
"""for one TLS handshake, if the negotiation has so much time left"""

CLOSING_S = 8.0
"""for the last words of a connection that is ended from elsewhere, which have bounds of their own"""

IN_A_ROW = 100
"""elements of one client, before others have their turn: those that need no store would never wait. They are charged
together, so that limits of speed cost nothing for each of them.
"""

UNPAID_BYTES = 65_536
"""read before they are charged"""

LONGEST_PAUSE_S = 5.0
"""of somebody who is too fast, before more is read again"""

PAUSE_STEP_S = 0.1
"""how soon the end of a connection is noticed in a pause"""

MOST_BACKLOG = 1_048_576
"""bytes that a client has not taken yet; beyond them nothing more is read from it"""


class Connection:
    """Serves one client over `link` until either is done."""

    __slots__ = (
        "_closing",
        "_deadline",
        "_ended",
        "_lang",
        "_link",
        "_negotiation",
        "_node",
        "_parser",
        "_said_goodbye",
        "_smacks",
        "_step_deadline",
        "_stream_open",
        "_visit",
        "heard_at",
        "probed_at",
        "session",
    )

    def __init__(self, link: Link, node: Node, visit: Visit | None = None) -> None:
        """`visit`: what limits it, if anything does."""
        self._link = link
        self._node = node
        self._visit = visit
        if visit is not None:
            visit.on_evicted = self._evicted
        self._parser = StreamParser(BEFORE_AUTHENTICATION)
        self._negotiation: Negotiation | None = Negotiation(node, self, bound=self._bound)
        self._smacks: Smacks | None = None
        begun_at = visit.begun_at if visit is not None else time.monotonic()  # before a handshake of direct TLS
        self._deadline = begun_at + node.settings.of(LimitSettings).negotiation_timeout
        self._step_deadline = self._deadline
        self._await_header()
        self._ended = False
        self._closing: gevent.Greenlet | None = None
        self._stream_open = False
        self._said_goodbye = False
        self._lang = ""
        """of the client's stream, if its stanzas have to say so (RFC 6120 section 8.1.5)"""
        self.session: Session | None = None
        self.heard_at = time.monotonic()
        """when bytes came last"""
        self.probed_at = 0.0
        """when a silent client was asked whether it is there, 0 if it was not"""

    def run(self) -> None:
        """Serve until the connection is over; then the session hibernates or ends."""
        by_client = False
        try:
            by_client = self._serve()
        except StreamError as error:
            self._refuse(error)
        except StoreError as error:
            log.warning("connection_lost_store", error=str(error))
            self._refuse(store_away())
        except Exception:  # top of a greenlet: whatever happened, the client is told and the session sleeps
            log.exception("connection_failed", peer=self._link.peer)
            self._refuse(StreamError(StreamCondition.INTERNAL_SERVER_ERROR))
        finally:
            self._finish(by_client=by_client)

    def _serve(self) -> bool:
        """Answers whether the client closed its stream."""
        in_a_row = unpaid = 0
        while not self._ended:
            try:
                event = self._parser.next_event()
            except StreamError as error:
                if error.condition is StreamCondition.POLICY_VIOLATION:
                    self._hit(Limit.STANZA)
                raise
            if event is None:
                if unpaid >= UNPAID_BYTES or self.session is None:
                    self._pay(in_a_row, unpaid)
                    in_a_row = unpaid = 0
                data = self._read()
                if not data:
                    return False
                unpaid += len(data)
                self.heard_at = time.monotonic()
                self.probed_at = 0.0
                self._parser.push(data)
            elif isinstance(event, Element):
                self._receive(event)
                in_a_row += 1
                if in_a_row >= IN_A_ROW:
                    self._pay(in_a_row, unpaid)
                    in_a_row = unpaid = 0
                    gevent.sleep(0)
            elif isinstance(event, StreamOpened):
                self._opened(event)
            elif isinstance(event, StreamClosed):
                return True
        return False

    def _read(self) -> bytes:
        if self._link.backlog > MOST_BACKLOG:
            self._wait_until_taken()
        if self.session is not None:
            self._wait_for_store()
            return self._link.read()
        left_s = min(self._deadline, self._step_deadline) - time.monotonic()
        try:
            if left_s > 0:  # a client that sends a little all the time would never run into the timeout
                return self._link.read(timeout_s=left_s)
        except TimeoutError:
            log.debug("negotiation_silent", peer=self._link.peer)
        self._hit(Limit.NEGOTIATION_TIME)
        raise StreamError(StreamCondition.CONNECTION_TIMEOUT, "no resource was bound in time")

    def _await_header(self) -> None:
        self._step_deadline = time.monotonic() + self._node.settings.of(LimitSettings).header_timeout

    def _pay(self, stanzas: int, size: int) -> None:
        """Charge what was read; wait before more is read, if that was too fast."""
        wait_s = self._visit.charge(stanzas, size) if self._visit is not None else 0.0
        if wait_s <= 0:
            return
        until = time.monotonic() + min(wait_s, LONGEST_PAUSE_S)
        while (left_s := until - time.monotonic()) > 0 and not self._ended and not self._link.closed:
            gevent.sleep(min(left_s, PAUSE_STEP_S))

    def _hit(self, limit: Limit) -> None:
        if self._visit is not None:
            self._visit.hit(limit, Outcome.CLOSED)

    def _evicted(self) -> None:
        self.end(StreamError(StreamCondition.RESOURCE_CONSTRAINT, "others want to log in, and this took too long"))

    def _wait_until_taken(self) -> None:
        """The client sends, but does not read what it is answered: its answers must not fill our memory."""
        link, former, taken = self._link, self._link.on_drained, Event()

        def drained() -> None:
            taken.set()
            if former is not None:
                former()

        link.on_drained = drained
        while link.backlog > MOST_BACKLOG and not link.closed:
            taken.clear()
            taken.wait(1.0)
        link.on_drained = former

    def _wait_for_store(self) -> None:
        """Too much waits for the store: what this client sends stays in its socket, and in the end with it."""
        pressure = self._node.mailbox.journal.pressure
        while pressure.is_crowded and not self._ended and not self._link.closed:
            pressure.wait_for_room(1.0)

    def _opened(self, event: StreamOpened) -> None:
        if self._negotiation is None:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "the stream is open already")
        if self._node.mailbox.journal.pressure.is_silent:
            self._stream_open = True
            self._negotiation.answer_header(event.attrs)
            raise store_away()
        self._stream_open = True
        self._step_deadline = time.monotonic() + self._node.settings.of(LimitSettings).authentication_timeout
        self._lang = stream.foreign(event.lang)
        self._negotiation.opened(event.attrs)

    def _receive(self, element: Element) -> None:
        session = self.session
        if session is None:
            if self._negotiation is not None:
                self._negotiation.receive(element)
        elif element.is_stanza:
            session.receive(element.in_language(self._lang) if self._lang else element)
        elif element.ns == ns.SM and self._smacks is not None:
            self._smacks.receive(element)
        elif (handler := self._node.features.nonzas.get((element.ns, element.name))) is not None:
            handler(session, element)
        else:
            raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE)

    def _bound(self, session: Session) -> None:
        self.session = session
        self._smacks = Smacks(session)
        self._negotiation = None
        self._link.on_drained = session.cursor.socket_took_all
        self._node.connections[self] = None

    def write(self, data: bytes) -> None:
        """Bytes for the client, unless the stream is over."""
        if not self._said_goodbye:
            self._link.write(data)

    def backlog(self) -> int:
        """Bytes the socket has not taken yet."""
        return self._link.backlog

    @property
    def bindings(self) -> Mapping[str, bytes] | None:
        """See `negotiation.Channel`."""
        return self._link.tls.bindings if self._link.tls is not None else None

    @property
    def peer(self) -> str:
        """See `negotiation.Channel`."""
        return self._link.peer

    @property
    def visit(self) -> Visit | None:
        """See `negotiation.Channel`."""
        return self._visit

    def start_tls(self) -> None:
        """See `negotiation.Channel`. What the client sent ahead of the handshake is refused: it may be
        somebody else's.
        """
        if self._node.tls_context is None:
            raise StreamError(StreamCondition.UNSUPPORTED_FEATURE)
        self._parser.restart(discard=True)
        self._stream_open = False
        if self._visit is not None:
            self._visit.wait_for_handshake()
        try:
            left_s = max(0.1, min(HANDSHAKE_S, self._deadline - time.monotonic()))
            self._link.start_tls(self._node.tls_context, timeout_s=left_s)
        except (OSError, WakegateError) as error:
            log.info("tls_failed", peer=self._link.peer, error=str(error))
            self._ended = self._said_goodbye = True
            self._link.abort()
        self._await_header()

    def restart(self) -> None:
        """See `negotiation.Channel`."""
        self._parser.restart(discard=False)
        self._stream_open = False
        self._await_header()

    def raise_limits(self) -> None:
        """See `negotiation.Channel`."""
        limits = self._node.settings.of(LimitSettings)
        self._parser.set_limits(
            ParserLimits(
                stanza_bytes=limits.max_stanza_bytes, depth=limits.max_stanza_depth, attributes=limits.max_attributes
            )
        )

    @property
    def counts(self) -> bool:
        """XEP-0198 is on: a client that is there answers <r/>."""
        return self.session is not None and self.session.cursor.counts

    def park(self) -> None:
        """Nothing came for a while: give the parser's memory back."""
        self._parser.park()

    def probe(self) -> None:
        """Nothing came for long: make the client say something, or the network say that it is gone."""
        self.probed_at = time.monotonic()
        session = self.session
        if session is not None and session.cursor.counts:
            session.cursor.ask(self.probed_at)
        else:
            self.write(b" ")

    @property
    def is_serving(self) -> bool:
        """Its end has not begun."""
        return not self._ended

    def lose_patience(self) -> None:
        """The store has not answered for too long: what is on its way gets no outcome on this connection."""
        if self.session is not None:
            self.session.has_failed = True
        self.end(store_away())

    def end(self, error: StreamError | None) -> None:
        """Close, from any greenlet and from callbacks that must not block."""
        if not self._ended:
            self._ended = True
            self._closing = gevent.spawn(self._close, error)

    def _close(self, error: StreamError | None) -> None:
        try:
            if error is not None:
                self._refuse(error)
            else:
                self._last_words()
        except StoreError as failed:
            log.warning("last_words_lost", error=str(failed))
        finally:
            self._link.close()

    def _refuse(self, error: StreamError) -> None:
        """RFC 6120 section 4.9.1.1: open the stream if need be, say why, close. The last h goes first (XEP-0198 section
        4).
        """
        if self._said_goodbye:
            return
        log.info("stream_error", condition=str(error.condition), text=error.text, peer=self._link.peer)
        if not self._stream_open and self._negotiation is not None:
            self._stream_open = True
            self._negotiation.answer_header({})
        self._last_words()
        self.write(error.to_bytes() + CLOSE)
        self._said_goodbye = True

    def _last_words(self) -> None:
        session = self.session
        if session is not None and not session.is_lost:
            session.say_last_words()

    def _finish(self, *, by_client: bool) -> None:
        self._ended = True
        if self._closing is not None:  # this greenlet may have waited in a handler meanwhile: let the error be told
            self._closing.join(CLOSING_S)
        try:
            if self.session is not None:
                with self._node.departures.turn():
                    self.session.end(by_client=by_client)
            if by_client:
                self.write(CLOSE)
        finally:
            self._said_goodbye = True
            if self._visit is not None:
                self._visit.on_evicted = None
            self._node.connections.pop(self, None)
            self._link.close()


def serve(node: Node) -> Callable[[Link], None]:
    """What a listener calls with each new connection."""
    return lambda link: Connection(link, node, link.visit).run()
