"""XEP-0198: Stream Management, version 1.6.3: the elements of a bound session. Resumption is part of negotiation.

Counts start differently each way: what the client sends counts from <enable/>, what the server sends from <enabled/>.
A second <enable/> gets <failed/> and the stream goes on: more tolerant than the text, as the XEP's own example shows
it.
"""

from __future__ import annotations

from gateway.mailbox.settings import SmacksSettings
from gateway.session.session import Session
from gateway.xmpp import counter, ns
from gateway.xmpp.errors import StanzaCondition, StreamCondition, StreamError
from gateway.xmpp.stanza import Element, escape

DRAIN_S = 10.0
"""how long <enable/> waits for stanzas that came before it and must not be counted"""

KEEP_MARGIN_S = 3600
"""origins are remembered for so much longer than the session may be resumed"""


def failed(condition: StanzaCondition, h: int | None = None) -> bytes:
    """<failed/>, with the last h of the session that was asked for, if it is known."""
    known = "" if h is None else f" h='{counter.wire(h)}'"
    return f"<failed xmlns='{ns.SM}'{known}><{condition} xmlns='{ns.STANZAS}'/></failed>".encode()


def is_true(text: str | None) -> bool:
    """xs:boolean."""
    return text in ("true", "1")


class Smacks:
    """Handles <enable/>, <r/> and <a/> of one session; `write` is the connection's."""

    __slots__ = ("_pipe_write", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pipe_write = session.write

    def receive(self, element: Element) -> None:
        """One element in urn:xmpp:sm:3. Raises StreamError."""
        if element.name == "r":
            self._requested()
        elif element.name == "a":
            self._acknowledged(element)
        elif element.name == "enable":
            self._enable(element)
        elif element.name == "resume":
            self._pipe_write(failed(StanzaCondition.UNEXPECTED_REQUEST))
        else:
            raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE)

    def _requested(self) -> None:
        if self._session.cursor.counts:
            self._session.ack_requested()
        else:
            self._pipe_write(failed(StanzaCondition.UNEXPECTED_REQUEST))

    def _acknowledged(self, element: Element) -> None:
        cursor = self._session.cursor
        if not cursor.counts:
            self._pipe_write(failed(StanzaCondition.UNEXPECTED_REQUEST))
            return
        h = counter.parse_h(element.attrs.get("h", ""))
        cursor.acknowledge(counter.absolute(h, cursor.acked - cursor.base, cursor.sent - cursor.base) + cursor.base)

    def _enable(self, element: Element) -> None:
        session, cursor = self._session, self._session.cursor
        if cursor.counts:
            self._pipe_write(failed(StanzaCondition.UNEXPECTED_REQUEST))
            return
        settings = session.node.settings.of(SmacksSettings)
        wish = _wish(element.attrs.get("max"))
        ceiling = settings.smacks_max_hibernation_time
        resumable = is_true(element.attrs.get("resume")) and ceiling > 0
        keep_s = min(ceiling, settings.smacks_hibernation_time if wish is None else wish)
        if not session.arrivals.wait_below(1, DRAIN_S):
            raise StreamError(StreamCondition.INTERNAL_SERVER_ERROR)
        cursor.held = True  # what is written between now and <enabled/> would be counted by nobody
        granted_ms = session.node.mailbox.enable(
            session.grip,
            is_resumable=resumable,
            max_ms=keep_s * 1000,
            push_max_ms=ceiling * 1000 if wish is None else 0,
            base=cursor.sent,
        )
        if granted_ms is None or session.is_lost:
            session.lost()
            return
        cursor.start_counting()
        session.count_stanzas(resumable=resumable, keep_ms=(ceiling + KEEP_MARGIN_S) * 1000)
        location = f" location='{escape(settings.location)}'" if settings.location and resumable else ""
        offer = f" id='{session.grip.sid}' resume='true' max='{granted_ms // 1000}'{location}" if resumable else ""
        self._pipe_write(f"<enabled xmlns='urn:xmpp:sm:3'{offer}/>".encode())
        cursor.held = False
        cursor.reaches(cursor.tail)


def _wish(text: str | None) -> int | None:
    """`max` as the client asks for it, in seconds; what is no number is no wish."""
    if text is None or not text.isascii() or not text.isdigit():
        return None
    return int(text[:9])
