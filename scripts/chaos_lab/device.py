"""A client that keeps XEP-0198 to the letter, and notes all that it sends, is told and receives.

What it does and when is decided by habits.py. Everything but reading happens in one greenlet, so that nothing of it can
come between two lines of the history.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from xml.etree.ElementTree import Element

import gevent
from gevent.event import AsyncResult

from gateway.demo.acks import WrongAck
from gateway.demo.client import Client, ResumeFailed
from gateway.demo.stream import Address, ServerSilent, StreamEnded, Unexpected
from gateway.demo.xml_reader import UnreadableStream
from gateway.xmpp import ns
from scripts.chaos_lab import history as told
from scripts.chaos_lab.history import History, Way

PATIENCE_S = 6.0
"""a client that hears nothing for so long after it asked takes its link for lost"""

PATIENT = 5
"""a <resume/> that is answered with what is no answer (a stream error) is repeated so often"""

MISTAKES = (WrongAck, UnreadableStream)
"""of the server's: no client can go on from there"""

LOST = (StreamEnded, ServerSilent, Unexpected, OSError)

_MESSAGE = f"{{{ns.CLIENT}}}message"
_IQ = f"{{{ns.CLIENT}}}iq"
_DELAY = f"{{{ns.DELAY}}}delay"
_STANZA_ID = f"{{{ns.STANZA_ID}}}stanza-id"
_FORWARDED = f"{{{ns.FORWARD}}}forwarded"
_WAYS: dict[str, Way] = {f"{{{ns.CARBONS}}}received": "received", f"{{{ns.CARBONS}}}sent": "sent"}
_RESULT = f"{{{ns.MAM}}}result"
PRESENCE = "p"
"""how the id of a session's first presence begins; a message's is m and its number"""


class Speaker(Client):
    """The demo's client, which says when something was acknowledged."""

    def __init__(self, username: str, password: str, address: Address, *, resource: str) -> None:
        super().__init__(username, password, address, resource=resource, timeout_s=PATIENCE_S)
        self.keep = False
        self.on_taken: Callable[[str], None] = lambda stanza_id: None
        self.on_resumed: Callable[[], None] = lambda: None
        self.is_resuming = False

    def start(self) -> None:
        """As Client's; before anything can be read on the new link, it is told that the session goes on."""
        if self.is_resuming:
            self.on_resumed()
        super().start()

    def _acked(self, h: int) -> None:
        super()._acked(h)
        taken, self.accepted = self.accepted, []
        for stanza_id in taken:
            self.on_taken(stanza_id)


class Device:
    """One client of an account, with what its history needs to know of it."""

    def __init__(self, number: int, account: int, client: Speaker, history: History, *, carbons: bool) -> None:
        self.number = number
        self.account = account
        self.client = client
        self.carbons = carbons
        self.session = 0
        self.received = 0
        """messages and copies that came in this session"""
        self.is_here = False
        self.query = ""
        self.archive: list[told.Shown] = []
        """what the archive showed in answer to the query of that id, and earlier ones"""
        self._history = history
        self._answers: dict[str, AsyncResult[Element]] = {}
        self._again: list[tuple[str, str]] = []
        self._iqs = self._oddities = 0
        client.on_stanza = self._take
        client.on_taken = self._was_taken
        client.on_resumed = lambda: self.note(told.Resumed(self.now, self.number, self.session))

    @property
    def bare(self) -> str:
        """The account's JID."""
        return f"{self.client.username}@{self.client.address.domain}"

    @property
    def now(self) -> float:
        """The history's time."""
        return self._history.now

    # Links and sessions

    def log_in(self, *, max_s: int | None = None) -> None:
        """A new session on a new link. Raises one of LOST."""
        self.client.cut()
        self.client.connect()
        self._begin(max_s)

    def send_again(self) -> None:
        """What is not acknowledged is to be sent a second time in the next new session."""
        self._again += [(one.stanza_id, one.data) for one in self.client.unacked if one.stanza_id.startswith("m")]

    def _begin(self, max_s: int | None) -> None:
        client = self.client
        client.session_id = ""  # whatever goes wrong from here on, nothing can be resumed
        try:
            client.bind()
            client.enable(max_s=max_s)
        except LOST:  # perhaps there was a session that could not be resumed: it is over
            self.note(told.Leaving(self.now, self.number, self.session, "close"))
            raise
        again, self._again = self._again, []
        self.session += 1
        self.received, self.is_here = 0, False
        self.note(told.Bound(self.now, self.number, self.session, client.resume_seconds))
        client.start()
        with suppress(*LOST):  # it can be resumed: what is not sent yet goes out then
            if self.carbons:
                client.send(f"<iq type='set' id='c{self.session}'><enable xmlns='{ns.CARBONS}'/></iq>")
        name = f"{PRESENCE}{self.session}"
        with suppress(*LOST):
            client.send(f"<presence id='{name}'/>", name)
        for stanza_id, data in again:
            self._send(stanza_id, data, attempt=2)
        with suppress(*LOST):
            client.request_ack()

    def _send(self, stanza_id: str, data: str, *, attempt: int) -> None:
        """A message; if the link is lost it goes out when the session is resumed."""
        number, account, to_device, kept = _unpack(data)
        mine = self.now, self.number, self.session
        self.note(told.Sent(*mine, number, account, to_device=to_device, attempt=attempt, kept=kept))
        with suppress(*LOST):
            self.client.send(data, stanza_id)

    def resume(self, *, max_s: int | None = None) -> bool:
        """Go on with the session on a new link; if the server does not know it, begin another and send again what was
        not acknowledged. True if it was resumed. Raises one of LOST.
        """
        self.client.is_resuming = True
        try:
            self.client.resume()
            self._oddities = 0
            return True
        except Unexpected as answer:
            self.client.cut()
            self._oddities += 1
            if self._oddities > PATIENT:
                self.give_up(f"answer to <resume/>: {answer}")
            raise
        except ResumeFailed as failed:
            self.client.is_resuming = False
            is_known = failed.h is not None
            self.note(told.Refused(self.now, self.number, self.session, failed.condition, is_known))
            self.send_again()
            self._begin(max_s)
            return False
        finally:
            self.client.is_resuming = False

    @property
    def unacknowledged(self) -> int:
        """Own messages that the server has not acknowledged; requests do not matter."""
        return len(self._again) + sum(one.stanza_id.startswith("m") for one in self.client.unacked)

    def give_up(self, what: str) -> None:
        """The server made a mistake: the session is not resumed any more. What is unacknowledged is sent again."""
        self.client.cut()
        self.note(told.StreamFailed(self.now, self.number, self.session, what))
        self.send_again()
        self.client.session_id = ""

    def cut(self, why: str = "", *, reset: bool = True) -> None:
        """Lose the link."""
        self.client.cut(reset=reset)
        self.note(told.Cut(self.now, self.number, self.session, why))

    def lost(self) -> None:
        """The link has ended by itself."""
        self.note(told.Cut(self.now, self.number, self.session, "ended"))
        if self.client.stream_error:
            error, self.client.stream_error = self.client.stream_error, ""
            self.note(told.StreamFailed(self.now, self.number, self.session, error))

    def confirm(self) -> bool:
        """Acknowledge what came, and know that the server has heard it; False if it does not say so.

        The answer to a ping is stored in the session's queue behind the acknowledgement, which an <a/> need not be.
        """
        session, received = self.session, self.received
        try:
            self.client.send_ack()
            self.request("get", f"<ping xmlns='{ns.PING}'/>")
        except LOST:
            return False
        if session != self.session:
            return False
        self.note(told.Sure(self.now, self.number, session, received))
        return True

    def close(self) -> None:
        """End the session in order."""
        self.note(told.Leaving(self.now, self.number, self.session, "close"))
        with suppress(*LOST):
            self.client.close()
        self.client.cut()

    # Stanzas

    def say(self, message: int, to_account: int, to: str, *, to_device: int, kept: bool, text: str) -> None:
        """Send a message; if the link is lost it goes out when the session is resumed."""
        hint = "" if kept else f"<no-permanent-store xmlns='{ns.HINTS}'/>"
        body = f"<body>{_pack(message, to_account, to_device, kept)} {text}</body>"
        self._send(f"m{message}", f"<message to='{to}' type='chat' id='m{message}'>{body}{hint}</message>", attempt=1)

    def ask(self) -> None:
        """Send <r/>."""
        with suppress(*LOST):
            self.client.request_ack()

    def request(self, kind: str, payload: str, timeout_s: float = PATIENCE_S) -> Element:
        """Ask the server something; its answer. Raises one of LOST."""
        self._iqs += 1
        name = f"i{self._iqs}"
        waiting = self._answers[name] = AsyncResult()
        try:
            self.client.send(f"<iq type='{kind}' id='{name}'>{payload}</iq>")
            gevent.wait([waiting, self.client.ended], timeout=timeout_s, count=1)
            if waiting.ready():
                answer: Element = waiting.get()
                return answer
            raise StreamEnded if self.client.ended.is_set() else ServerSilent(f"no answer to {name}")
        finally:
            del self._answers[name]

    def note(self, event: told.Event) -> None:
        """The next line of the history."""
        self._history.note(event)

    def _was_taken(self, stanza_id: str) -> None:
        if stanza_id.startswith("m"):
            self.note(told.Taken(self.now, self.number, self.session, int(stanza_id[1:])))
        elif stanza_id == f"{PRESENCE}{self.session}":
            self.is_here = True
            self.note(told.Here(self.now, self.number, self.session))

    def _take(self, stanza: Element) -> None:
        if stanza.tag == _IQ:
            waiting = self._answers.get(stanza.get("id", ""))
            if waiting is not None:
                waiting.set(stanza)
        elif stanza.tag == _MESSAGE:
            self._take_message(stanza)

    def _take_message(self, stanza: Element) -> None:
        number = _number(stanza)
        if number and stanza.get("type") == "error":
            self.note(told.Bounced(self.now, self.number, self.session, number, _condition(stanza)))
        elif number:
            self._note_received(number, "message", stanza, late=stanza.find(_DELAY) is not None)
        for child in stanza:
            inner = child.find(f"{_FORWARDED}/{_MESSAGE}")
            if inner is None:
                continue
            if child.tag in _WAYS:
                self._note_received(_number(inner), _WAYS[child.tag], inner, late=False)
            elif child.tag == _RESULT and child.get("queryid") == self.query:
                self.archive.append(told.Shown(self.account, _number(inner), child.get("id", "")))

    def _note_received(self, number: int, way: Way, stanza: Element, *, late: bool) -> None:
        self.received += 1
        found = _archive_id(stanza, self.bare)
        self.note(told.Received(self.now, self.number, self.session, number, way, found, late))


def _pack(message: int, account: int, device: int, kept: bool) -> str:
    return f"{message}/{account}/{device}/{int(kept)}"


def _unpack(data: str) -> tuple[int, int, int, bool]:
    """What _pack wrote into a message's body."""
    words = data.partition("<body>")[2].partition(" ")[0].split("/")
    return int(words[0]), int(words[1]), int(words[2]), words[3] == "1"


def _number(stanza: Element) -> int:
    name = stanza.get("id", "")
    return int(name[1:]) if name[:1] == "m" and name[1:].isdigit() else 0


def _condition(stanza: Element) -> str:
    error = stanza.find(f"{{{ns.CLIENT}}}error")
    return "" if error is None or not len(error) else error[0].tag.rpartition("}")[2]


def _archive_id(stanza: Element, bare: str) -> str:
    return next((one.get("id", "") for one in stanza.iter(_STANZA_ID) if one.get("by") == bare), "")


def remember_passwords() -> None:
    """Stretch each password once in this process, as clients do that keep the salted one (RFC 5802 section 5.1)."""
    remember = lru_cache(maxsize=50_000)
    vars(hashlib)["pbkdf2_hmac"] = remember(hashlib.pbkdf2_hmac)
