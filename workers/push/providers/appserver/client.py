"""How a worker asks an app server: the request goes into the mailbox of an external component (XEP-0114), the answer
comes back through Redis from whichever gateway the component is connected to.
"""

from __future__ import annotations

import itertools
import secrets
import time
from typing import Final

import gevent
from gevent.event import AsyncResult

from gateway.mailbox import entry
from gateway.mailbox.errors import StoreError
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Delivery, Status
from gateway.mailbox.notices import publish_entries
from gateway.mailbox.push_answers import Answer, PushAnswers, request_id
from gateway.telemetry import get_logger
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID

log = get_logger(__name__)

POLL_S: Final = 0.05
"""How often answers are looked for, while one is waited for."""

PAUSE_S: Final = 1.0
"""After Redis could not be asked."""

AWAY: Final = "remote-server-timeout"
"""the condition that stands for an app server that is not connected, does not keep up, or does not answer"""

UNREACHABLE: Final = "remote-server-not-found"


class Client:
    """Asks app servers; shared by all of them. Its name is this worker's alone, and answers are addressed to it."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._answers = PushAnswers(mailbox.journal)
        self._name = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._waiting: dict[str, AsyncResult[Answer]] = {}
        self._reader: gevent.Greenlet | None = None

    def is_within_reach(self, service: JID) -> bool:
        """Whether anything can be sent there: external components alone, until there are connections to servers."""
        return bool(self._mailbox.component_of(str(service.bare)))

    def ask(self, service: JID, *, sender: str, payload: bytes, timeout_s: float, type_: str = "set") -> Answer:
        """Send an iq from `sender` (a domain), and wait for the answer. What prevents one is an answer as well, with
        the condition that a server would give. Raises nothing.
        """
        id_ = request_id(self._name, next(self._numbers))
        if not self.is_within_reach(service):
            return self._instead(id_, service, UNREACHABLE)
        head = f"<iq type='{type_}' id='{id_}' from='{escape(sender)}' to='{escape(str(service))}'>"
        deadline = time.monotonic() + timeout_s
        answer: AsyncResult[Answer] = AsyncResult()
        self._waiting[id_] = answer
        try:
            refusal = self._send(service, sender, head.encode() + payload + b"</iq>", timeout_s)
            if refusal:
                return self._instead(id_, service, refusal)
            self._read()
            found: Answer = answer.get(timeout=max(0.0, deadline - time.monotonic()))
            return found
        except gevent.Timeout:
            return self._instead(id_, service, AWAY)
        finally:
            del self._waiting[id_]

    def close(self) -> None:
        """Nobody is answered any more."""
        if self._reader is not None:
            self._reader.kill(timeout=1)
            self._reader = None

    def _send(self, service: JID, sender: str, stanza: bytes, timeout_s: float) -> str:
        """Put it into the component's queue, and tell the gateway that has the connection. Answers why not, or "".
        Raises gevent.Timeout.
        """
        taken: AsyncResult[Delivery | StoreError] = AsyncResult()
        self._mailbox.deliver(
            user=str(service.bare), resource=service.resource, sender=sender, origin=None, kind=entry.IQ_REQUEST,
            type="", flags="", stanza=stanza, done=taken.set,
        )  # fmt: skip
        outcome = taken.get(timeout=timeout_s)
        if isinstance(outcome, StoreError):
            return "internal-server-error"
        if outcome.status is not Status.OK:
            return AWAY
        publish_entries(self._mailbox.journal, outcome.placed, stanza)
        return ""

    @staticmethod
    def _instead(id_: str, service: JID, condition: str) -> Answer:
        return Answer(id=id_, service=str(service), type="error", condition=condition, error_type="wait")

    def _read(self) -> None:
        """Have the reader run, which ends by itself when nobody waits."""
        if self._reader is None or self._reader.dead:
            self._reader = gevent.spawn(self._hand_out)

    def _hand_out(self) -> None:
        while self._waiting:
            pause_s = POLL_S
            try:
                for answer in self._answers.take(self._name):
                    self._hand(answer)
            except StoreError as error:
                log.warning("push_answers_unreadable", error=str(error))
                pause_s = PAUSE_S
            gevent.sleep(pause_s)

    def _hand(self, answer: Answer) -> None:
        waiting = self._waiting.get(answer.id)
        if waiting is not None:  # else it came too late
            waiting.set(answer)
