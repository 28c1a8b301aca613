"""A device of an account, as a good client is one: it resumes when it can, and when it cannot it looks into the archive
before it says that it is there. What it shows to its user is `history`; everything is known by its archive id.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

import gevent
from gevent.lock import RLock

from gateway.demo.acks import AckState
from gateway.demo.stream import Address, ClientStream, ServerSilent, StreamEnded, Unexpected
from gateway.xmpp import ns
from tests.support.archive import MAM, RSM
from tests.support.phone import sm, stanza
from tests.support.processes import PASSWORD, Account

MESSAGE, IQ, PRESENCE = stanza("message"), stanza("iq"), stanza("presence")
FORWARD = f"{{{ns.FORWARD}}}forwarded"
PAGE = 50
ANSWER_S = 10.0

# What comes a second time, by the reason:
WHILE_LOOKING = "came while it looked into the archive"
AFTER_A_BREAK = "came over a link that broke while it looked"
FOR_THE_ORDER = "looked for once more, to know its place"
UNACKNOWLEDGED = "had not been acknowledged"


@dataclass(frozen=True, slots=True)
class Pending:
    """A message of its own that the server has not acknowledged; `known` is what it had of the archive when it was
    written, behind which the archive has it, if at all.
    """

    origin_id: str
    text: str
    known: str


class Device:
    """One device. `start()` keeps it connected until `leave()`; every other method may be called at any moment.

    `history`: (archive id, origin id) of what others wrote, those of the account's other devices included, in the order
    in which it came. `dropped`: what came a second time, by kind.
    """

    def __init__(self, account: Account, resource: str, address: Callable[[], Address]) -> None:
        self.account = account
        self.resource = resource
        self._address = address
        self.history: list[tuple[str, str]] = []
        self.sent: list[str] = []
        self.dropped: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self.is_open = False
        self._known: set[str] = set()
        self._last = ""
        self._written: dict[str, Pending] = {}
        self._waiting: deque[Pending] = deque()
        self._acks = AckState()
        self._session_id = ""
        self._early: list[tuple[tuple[str, str], bool]] | None = None
        self._confirmed: set[str] = set()
        self._query = ""
        self._forgets = False
        self._is_interrupted = False
        self._is_inactive = False
        self._leaving = False
        self._stream: ClientStream | None = None
        self._writing = RLock()
        self._names = itertools.count(1)
        self._running: gevent.Greenlet | None = None

    @property
    def jid(self) -> str:
        return f"{self.account.jid}/{self.resource}"

    # What happens to it

    def start(self) -> Device:
        self._running = gevent.spawn(self._run)
        return self

    def leave(self) -> None:
        """The end, without a word."""
        self._leaving = True
        if self._running is not None:
            self._running.kill()
        if self._stream is not None:
            self._stream.cut()

    def restart(self) -> None:
        """The app is killed: it keeps what it has written down, but not its session. Its link has to be cut as well."""
        self._forgets = True

    def rest(self, is_inactive: bool) -> None:
        """XEP-0352."""
        with self._writing:
            self._is_inactive = is_inactive
            if self.is_open:
                self._tell_state()

    def say(self, to: str, origin_id: str) -> None:
        """Write a message; it goes out now or with the next connection."""
        name = quoteattr(origin_id)
        text = (
            f"<message to={quoteattr(to)} type='chat' id={name}><body>{origin_id}</body>"
            f"<origin-id xmlns='{ns.STANZA_ID}' id={name}/></message>"
        )
        with self._writing:
            self.sent.append(origin_id)
            self._waiting.append(Pending(origin_id, text, self._last))
            self._flush()

    def type(self, to: str) -> None:
        """A chat state, which an inactive client does not get at once."""
        with self._writing:
            if self.is_open:
                self._send(f"<message to={quoteattr(to)} type='chat'><composing xmlns='{ns.CHATSTATES}'/></message>")

    @property
    def is_settled(self) -> bool:
        """Everything it wrote is acknowledged."""
        return self.is_open and not self._waiting and not any(one.stanza_id for one in self._acks.unacked)

    @property
    def unsettled(self) -> str:
        """For who looks for the reason."""
        early = "-" if self._early is None else len(self._early)
        return f"{len(self._waiting)} to write, {len(self._acks.unacked)} not acknowledged, {early} early"

    def ask_for_ack(self) -> None:
        with self._writing:
            if self.is_open:
                self._write(f"<r xmlns='{ns.SM}'/>")

    # Its connection

    def _run(self) -> None:
        while not self._leaving:
            try:
                self._connect()
                while True:
                    self._take(self._next())
            except (StreamEnded, ServerSilent, Unexpected):
                self.is_open = False
                if self._stream is not None:
                    self._stream.cut()
                gevent.sleep(0.05)

    def _connect(self) -> None:
        self._stream = stream = ClientStream(self._address(), timeout_s=ANSWER_S)
        stream.connect()
        stream.authenticate(self.account.name, PASSWORD)
        if self._forgets:
            self._forgets, self._session_id = False, ""
            self._put_back()
        if not (self._session_id and self._resumed()):
            self._bind()
        if self._early is not None:
            self._catch_up()
        with self._writing:
            self.is_open = True
            if self._is_inactive:
                self._tell_state()
            self._flush()

    def _resumed(self) -> bool:
        assert self._stream is not None
        ask = f"<resume xmlns='{ns.SM}' previd='{self._session_id}' h='{self._acks.h}'/>"
        answer = self._stream.request(ask)
        h = answer.get("h")
        if h is not None:
            self._acked(int(h))
        if answer.tag == sm("resumed"):
            self.counts["resumed"] += 1
            self._is_interrupted = self._early is not None
            self._write("".join(one.data for one in self._acks.unacked))
            return True
        self.counts["refused"] += 1
        self.counts["refused without h"] += h is None
        self._session_id = ""
        self._put_back()
        return False

    def _put_back(self) -> None:
        """What the lost session did not get acknowledged is to be written again."""
        lost = [self._written[one.stanza_id] for one in self._acks.unacked if one.stanza_id]
        self._waiting.extendleft(reversed(lost))
        self._acks = AckState()

    def _bind(self) -> None:
        assert self._stream is not None
        self.counts["bound"] += 1
        wish = f"<resource>{self.resource}</resource>"
        self._stream.request(f"<iq type='set' id='bind'><bind xmlns='{ns.BIND}'>{wish}</bind></iq>", IQ)
        self._acks = AckState()
        enabled = self._stream.request(f"<enable xmlns='{ns.SM}' resume='true'/>", sm("enabled"))
        self._session_id = enabled.get("id", "")
        self._early, self._is_interrupted = [], False

    def _catch_up(self) -> None:
        """XEP-0313 section 5: first what it missed, then presence, so that the server need not send all that waits.

        Copies are switched on when most of it is there, before the last look, which is short: what comes during that
        one comes twice, and is kept back. Until presence is there a message to its full JID comes at once, and one to
        the bare JID before it waits offline: should that have happened, only one look more tells their order.
        """
        self._look(self._waiting[0].known if self._waiting else self._last)
        self._request(f"<enable xmlns='{ns.CARBONS}'/>")
        self._look(self._last)
        self._send("<presence/>")
        self._request(f"<ping xmlns='{ns.PING}'/>", "get")
        unordered = self._unordered()
        if unordered:
            self.counts["looked once more"] += 1
            self._look(self._last)
        early, self._early = [one for one, _ in self._early or []], None
        while_looking = AFTER_A_BREAK if self._is_interrupted else WHILE_LOOKING
        for one in early:
            self._show(one, FOR_THE_ORDER if one[0] in unordered else while_looking)

    def _unordered(self) -> set[str]:
        """Archive ids of what was kept back and not shown, unless nothing of it had waited: then it is in order."""
        early = [(one[0], is_late) for one, is_late in self._early or [] if one[0] not in self._known]
        return {archive_id for archive_id, _ in early} if any(is_late for _, is_late in early) else set()

    def _look(self, last: str) -> None:
        """Everything behind `last`. If messages of its own have no answer, that is what it had when it wrote the first
        of them: what of them is in the archive is not sent again.
        """
        is_complete = False
        self._confirmed.clear()
        while not is_complete:
            self._query = f"{self.resource}-{next(self._names)}"
            after = f"<after>{last}</after>" if last else ""
            page = f"<set xmlns='{ns.RSM}'><max>{PAGE}</max>{after}</set>"
            fin = self._request(f"<query xmlns='{ns.MAM}' queryid='{self._query}'>{page}</query>").find(f"{MAM}fin")
            if fin is None:
                raise Unexpected("the archive did not answer")
            last = fin.findtext(f"{RSM}set/{RSM}last") or last
            is_complete = fin.get("complete") == "true"
        self._last, self._query = last, ""
        arrived = {pending.origin_id for pending in self._waiting} & self._confirmed
        self.counts["found in the archive instead of sent again"] += len(arrived)
        self._waiting = deque(pending for pending in self._waiting if pending.origin_id not in arrived)

    # In

    def _next(self) -> Element:
        assert self._stream is not None
        while True:
            with gevent.Timeout(60, ServerSilent(f"{self.jid}: nothing for a minute")):
                element = self._stream.receive(60)
            if element.tag in (MESSAGE, IQ, PRESENCE):
                self._acks.inbound += 1
            return element

    def _request(self, payload: str, type_: str = "set") -> Element:
        name = f"{self.resource}-iq-{next(self._names)}"
        self._send(f"<iq type='{type_}' id='{name}'>{payload}</iq>")
        while (element := self._next()).get("id") != name:
            self._take(element)
        return element

    def _take(self, element: Element) -> None:
        if element.tag == sm("r"):
            with self._writing:
                self._write(f"<a xmlns='{ns.SM}' h='{self._acks.h}'/>")
        elif element.tag == sm("a"):
            self._acked(int(element.get("h", "")))
        elif element.tag == MESSAGE:
            self._take_message(element)
        elif element.tag not in (IQ, PRESENCE):
            raise StreamEnded(element.tag)

    def _take_message(self, message: Element) -> None:
        result = message.find(f"{MAM}result")
        if result is not None:
            self._take_result(result)
            return
        if message.get("type") == "error":
            self.errors.append(message.get("id", ""))
        is_late = next(message.iter(f"{{{ns.DELAY}}}delay"), None) is not None
        for way in ("received", "sent"):
            inner = message.find(f"{{{ns.CARBONS}}}{way}/{FORWARD}/{MESSAGE}")
            if inner is not None:
                message = inner
                self.counts[f"{way} copies"] += 1
        given = [one.get("id", "") for one in message.iter(f"{{{ns.STANZA_ID}}}stanza-id") if self._is_ours(one)]
        if not given:
            return  # a chat state
        if self._early is not None:
            self._early.append(((given[0], origin_of(message)), is_late))
        else:
            self._show((given[0], origin_of(message)), UNACKNOWLEDGED)

    def _is_ours(self, stanza_id: Element) -> bool:
        return stanza_id.get("by") == self.account.jid

    def _take_result(self, result: Element) -> None:
        message = result.find(f"{FORWARD}/{MESSAGE}")
        if message is None or result.get("queryid") != self._query:
            return  # of a page that it does not wait for any more
        archive_id, origin_id = result.get("id", ""), origin_of(message)
        self.counts["archive results"] += 1
        if message.get("from") == self.jid:
            self._confirmed.add(origin_id)
        elif archive_id not in self._known:
            self._show((archive_id, origin_id), "")

    def _show(self, one: tuple[str, str], kind: str) -> None:
        if one[0] in self._known:
            self.dropped[kind] += 1
            return
        self._known.add(one[0])
        self._last = one[0]
        self.history.append(one)

    # Out

    def _acked(self, h: int) -> None:
        for one in self._acks.acked_up_to(h):
            self._written.pop(one.stanza_id, None)

    def _tell_state(self) -> None:
        self._write(f"<{'inactive' if self._is_inactive else 'active'} xmlns='{ns.CSI}'/>")

    def _flush(self) -> None:
        while self.is_open and self._waiting:
            pending = self._waiting.popleft()
            self._written[pending.origin_id] = pending
            self._send(pending.text, pending.origin_id)

    def _send(self, text: str, origin_id: str = "") -> None:
        with self._writing:
            self._acks.sent(origin_id, text)
            self._write(text)

    def _write(self, text: str) -> None:
        """A link that is lost the reader notices."""
        assert self._stream is not None
        try:
            self._stream.send(text)
        except (StreamEnded, ServerSilent):
            self.is_open = False


def origin_of(message: Element) -> str:
    """Its sender's name for it (XEP-0359)."""
    found = message.find(f"{{{ns.STANZA_ID}}}origin-id")
    return "" if found is None else found.get("id", "")
