"""A phone's XMPP client, complete enough to show and to test what the server promises, and lean enough to run a
thousand of.

One greenlet per client reads; acknowledgements, pings and waiting callers are served from it. XEP-0198 (Stream
Management) is kept exactly on both sides: what the server has not acknowledged is sent again after a resumption, and
nothing else is.
"""

import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

import gevent
from gevent.event import Event
from gevent.lock import RLock

from gateway.demo.acks import AckState, Outgoing, WrongAck
from gateway.demo.stream import STREAM_ERROR, Address, ClientStream, ServerSilent, StreamEnded, Unexpected, condition_of
from gateway.demo.xml_reader import UnreadableStream
from gateway.errors import WakegateError
from gateway.telemetry import get_logger
from gateway.xmpp import ns

log = get_logger(__name__)

_SM = f"{{{ns.SM}}}"
_STANZAS = {f"{{{ns.CLIENT}}}{name}": name for name in ("message", "presence", "iq")}


@dataclass(frozen=True, slots=True)
class Message:
    """A message with a body, as it was received. `delayed`: it carries a delay stamp (XEP-0203)."""

    stanza_id: str
    sender: str
    body: str
    type: str
    delayed: bool


class RequestFailed(WakegateError):
    """An iq request was answered with an error; `condition` is its defined condition."""

    metric = "client_request_failed"

    def __init__(self, condition: str) -> None:
        super().__init__(condition)
        self.condition = condition


class ResumeFailed(WakegateError):
    """`<resume/>` was answered with `<failed/>`; the stream is still usable, bind() may follow.

    `h` is what the lost session had handled, if the server still knew, and is applied to `unacked` already.
    """

    metric = "client_resume_failed"

    def __init__(self, condition: str, h: int | None) -> None:
        super().__init__(condition)
        self.condition = condition
        self.h = h


class Client:
    """One account's session.

    `received` are all stanzas in order, `messages` those with a body; `accepted` the ids of own stanzas the server
    acknowledged, in order. `keep=False` keeps only counts, for load: then `on_stanza` is the way to look at what
    comes.
    """

    def __init__(
        self, username: str, password: str, address: Address, *, resource: str = "", timeout_s: float = 20.0
    ) -> None:
        self.username = username
        self.password = password
        self.address = address
        self.resource = resource
        self.timeout_s = timeout_s
        self.keep = True
        self.acking = True
        self.on_stanza: Callable[[Element], None] | None = None
        self.jid = ""
        self.session_id = ""
        self.resume_seconds = 0
        self.acks: AckState | None = None
        self.accepted: list[str] = []
        self.received: list[Element] = []
        self.messages: list[Message] = []
        self.message_count = 0
        self.stream_error = ""
        self.ended = Event()
        prefix = secrets.token_hex(4)
        self._ids = (f"{prefix}-{number}" for number in itertools.count(1))
        self._stream: ClientStream | None = None
        self._changed: Event | None = None
        self._thawed = Event()
        self._thawed.set()
        self._writing = RLock()
        self._reading: Any = None

    # A session's life

    def login(self, *, smacks: bool = True, max_s: int | None = None, presence: bool = True) -> "Client":
        """From nothing to available: connect(), bind(), enable() and initial presence."""
        self.connect()
        self.bind()
        if smacks:
            self.enable(max_s=max_s)
        self.start()
        if presence:
            self.send("<presence/>")
        return self

    def connect(self, address: Address | None = None) -> Element:
        """Connects and authenticates; answers the stream features."""
        self._stream = self._open(address)
        return self._stream.features

    def _open(self, address: Address | None) -> ClientStream:
        self.address = address or self.address
        stream = ClientStream(self.address, timeout_s=self.timeout_s)
        try:
            stream.connect()
            stream.authenticate(self.username, self.password)
        except (WakegateError, OSError):
            stream.cut()
            raise
        return stream

    def bind(self) -> str:
        """Binds the resource (RFC 6120, section 7) and answers the full JID."""
        wish = f"<resource>{escape(self.resource)}</resource>" if self.resource else ""
        request = f"<iq type='set' id='bind'><bind xmlns='{ns.BIND}'>{wish}</bind></iq>"
        answer = self.stream.request(request, f"{{{ns.CLIENT}}}iq")
        jid = answer.findtext(f"{{{ns.BIND}}}bind/{{{ns.BIND}}}jid")
        if not jid:
            raise Unexpected("the answer to bind has no JID")
        self.jid = jid
        self.resource = jid.partition("/")[2]
        return jid

    def enable(self, *, max_s: int | None = None) -> Element:
        """XEP-0198 <enable/> with resumption, before start(); answers `<enabled/>`."""
        wish = "" if max_s is None else f" max='{max_s}'"
        self.acks = AckState()
        enabled = self.stream.request(f"<enable xmlns='{ns.SM}' resume='true'{wish}/>", f"{_SM}enabled")
        self.session_id = enabled.get("id", "")
        self.resume_seconds = int(enabled.get("max", "0"))
        return enabled

    def start(self) -> None:
        """Starts reading; from here on only this client's greenlet reads the stream."""
        self.ended.clear()
        self.stream_error = ""
        self._reading = gevent.spawn(self._read, self.stream)

    def resume(self, address: Address | None = None) -> None:
        """Connects anew, there or where it was, and resumes (XEP-0198, section 5).

        What was not acknowledged is sent again; who sends meanwhile waits. Raises ResumeFailed if the server does not
        know the session any more, and StreamEnded, ServerSilent or Unexpected if it cannot be reached: then try again.
        """
        acks = self._acks()
        self.cut()
        with self._writing:
            stream = self._open(address)
            try:
                answer = stream.request(f"<resume xmlns='{ns.SM}' previd={quoteattr(self.session_id)} h='{acks.h}'/>")
            except WakegateError:
                stream.cut()
                raise
            self._stream = stream
            h = answer.get("h")
            if answer.tag == f"{_SM}failed":
                if h is not None:
                    self._acked(int(h))
                raise ResumeFailed(condition_of(answer), None if h is None else int(h))
            if answer.tag != f"{_SM}resumed" or h is None:
                raise Unexpected(f"expected resumed, got {answer.tag}")
            self._acked(int(h))
            self.start()
            stream.send("".join(one.data for one in acks.unacked) + f"<r xmlns='{ns.SM}'/>")

    def close(self) -> None:
        """Ends the session in order: last `<a/>`, `</stream:stream>`, and waits for the server's end."""
        with self._writing:
            if self.acks is not None:
                self.stream.send(self._answer())
            self.stream.end()
        self.ended.wait(self.timeout_s)
        self.cut(reset=False)

    def cut(self, *, reset: bool = True) -> None:
        """The link is lost: the TCP connection ends at once, the session stays to be resumed."""
        if self._reading is not None and self._reading is not gevent.getcurrent():
            self._reading.kill()
        self._reading = None
        self.thaw()
        if self._stream is not None:
            self._stream.cut(reset=reset)
        self.ended.set()

    def freeze(self) -> None:
        """Stops reading and acknowledging with the socket open, as a phone in a tunnel."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Goes on reading after freeze()."""
        self._thawed.set()

    # Sending

    def send(self, stanza: str, stanza_id: str = "") -> None:
        """Sends one stanza and keeps it until it is acknowledged.

        Raises StreamEnded or ServerSilent; it is kept all the same.
        """
        with self._writing:
            if self.acks is not None:
                self.acks.sent(stanza_id, stanza)
            self.stream.send(stanza)

    def send_message(self, to: str, body: str, stanza_id: str = "", *, kind: str = "chat", extra: str = "") -> str:
        """Sends a message with an origin id (XEP-0359) and answers its id. `extra` is XML for beside the body."""
        stanza_id = stanza_id or next(self._ids)
        name = quoteattr(stanza_id)
        origin = f"<origin-id xmlns='{ns.STANZA_ID}' id={name}/>"
        payload = f"<body>{escape(body)}</body>{extra}{origin}"
        self.send(f"<message to={quoteattr(to)} type='{kind}' id={name}>{payload}</message>", stanza_id)
        return stanza_id

    def request_ack(self) -> None:
        """Sends `<r/>`."""
        with self._writing:
            self.stream.send(f"<r xmlns='{ns.SM}'/>")

    def send_ack(self) -> None:
        """Sends `<a/>` unasked."""
        with self._writing:
            self.stream.send(self._answer())

    def request(self, kind: str, payload: str, to: str = "") -> Element:
        """Sends an iq ("get" or "set") and answers its result.

        Raises RequestFailed for an error, ServerSilent if none comes.
        """
        stanza_id = next(self._ids)
        address = f" to={quoteattr(to)}" if to else ""
        self.send(f"<iq type='{kind}' id='{stanza_id}'{address}>{payload}</iq>", stanza_id)
        answer = self.wait_for(lambda stanza: stanza.get("id") == stanza_id and stanza.tag == f"{{{ns.CLIENT}}}iq")
        if answer.get("type") == "error":
            error = answer.find(f"{{{ns.CLIENT}}}error")
            raise RequestFailed("undefined-condition" if error is None else condition_of(error))
        return answer

    # Waiting

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Returns as soon as `condition` holds; it is looked at whenever something came. Raises ServerSilent."""
        with gevent.Timeout(timeout_s, ServerSilent(f"{self.username}: what was waited for did not come")):
            while not condition():
                changed = self._changed = self._changed or Event()
                changed.wait()

    def wait_for(self, predicate: Callable[[Element], bool], timeout_s: float = 20.0) -> Element:
        """The first received stanza, from the beginning, that fulfils `predicate`. Raises ServerSilent."""
        found: list[Element] = []
        seen = 0

        def look() -> bool:
            nonlocal seen
            found.extend(stanza for stanza in self.received[seen:] if predicate(stanza))
            seen = len(self.received)
            return bool(found)

        self.wait_until(look, timeout_s)
        return found[0]

    def wait_messages(self, count: int, timeout_s: float = 20.0) -> None:
        """Returns once `count` messages with a body were received in all."""
        self.wait_until(lambda: self.message_count >= count, timeout_s)

    def wait_accepted(self, timeout_s: float = 20.0) -> None:
        """Asks the server and returns once it acknowledged everything that was sent."""
        self.request_ack()
        self.wait_until(lambda: not self.unacked, timeout_s)

    @property
    def unacked(self) -> list[Outgoing]:
        """Own stanzas that the server has not acknowledged, oldest first."""
        return [] if self.acks is None else list(self.acks.unacked)

    @property
    def stream(self) -> ClientStream:
        """The link, for a caller who wants to send what this class would not."""
        if self._stream is None:
            raise StreamEnded
        return self._stream

    # Receiving

    def _read(self, stream: ClientStream) -> None:
        try:
            while True:
                elements = stream.read()
                self._thawed.wait()
                for element in elements:
                    self._take(element)
                self._notify()
        except (StreamEnded, ServerSilent) as end:
            log.debug("client_link_ended", user=self.username, reason=str(end))
        except (UnreadableStream, WrongAck) as error:
            self.stream_error = str(error)
        finally:
            self.ended.set()
            self._notify()

    def _take(self, element: Element) -> None:
        name = _STANZAS.get(element.tag)
        if name is not None:
            if self.acks is not None:
                self.acks.inbound += 1
            self._take_stanza(name, element)
        elif element.tag == f"{_SM}r":
            if self.acking:
                self.send_ack()
        elif element.tag == f"{_SM}a":
            self._acked(int(element.get("h", "")))
        elif element.tag == STREAM_ERROR:
            self.stream_error = condition_of(element)

    def _take_stanza(self, name: str, stanza: Element) -> None:
        if name == "message":
            body = stanza.findtext(f"{{{ns.CLIENT}}}body")
            if body is not None and stanza.get("type") != "error":
                self.message_count += 1
                if self.keep:
                    delayed = stanza.find(f"{{{ns.DELAY}}}delay") is not None
                    sender, kind = stanza.get("from", ""), stanza.get("type", "normal")
                    self.messages.append(Message(stanza.get("id", ""), sender, body, kind, delayed))
        if self.keep:
            self.received.append(stanza)
        if name == "iq" and stanza.get("type") == "get" and stanza.find(f"{{{ns.PING}}}ping") is not None:
            sender = f" to={quoteattr(stanza.get('from', ''))}" if stanza.get("from") else ""
            self.send(f"<iq type='result' id={quoteattr(stanza.get('id', ''))}{sender}/>")
        if self.on_stanza is not None:
            self.on_stanza(stanza)

    def _acked(self, h: int) -> None:
        self.accepted.extend(one.stanza_id for one in self._acks().acked_up_to(h) if one.stanza_id)

    def _answer(self) -> str:
        return f"<a xmlns='{ns.SM}' h='{self._acks().h}'/>"

    def _acks(self) -> AckState:
        if self.acks is None:
            raise Unexpected("this session has no stream management")
        return self.acks

    def _notify(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()
