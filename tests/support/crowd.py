"""Pairs of clients that talk while something kills the server, and what became of every message."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from xml.etree.ElementTree import Element

import gevent
from gevent.pool import Pool

from gateway.demo.client import Client, ResumeFailed
from gateway.demo.stream import ServerSilent, StreamEnded, Unexpected
from gateway.errors import WakegateError
from gateway.xmpp import ns
from tests.support.processes import Server

_LOGINS_AT_ONCE = 20


@dataclass(slots=True)
class Tally:
    """The fate of a round's messages. `lost`: acknowledged to the sender and never received."""

    sent: int = 0
    accepted: int = 0
    received: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    resumed: int = 0
    refused: int = 0
    unfinished: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Adds another round's figures."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    @property
    def is_clean(self) -> bool:
        """Nothing lost, doubled, disordered, refused or waiting; all that was sent was accepted and received."""
        faults = self.lost + self.doubled + self.disordered + self.refused + self.unfinished
        return faults == 0 and self.sent == self.accepted == self.received


class Talker:
    """One client of the crowd: it resumes whenever its link ends, as a phone does."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.peer_jid = ""
        self.sent: list[str] = []
        self.came: Counter[str] = Counter()
        self.order: list[str] = []
        self.resumed = 0
        self.refused = 0
        self._leaving = False
        client.keep = False
        client.on_stanza = self._take
        self._reviving = gevent.spawn(self._revive)

    def _take(self, stanza: Element) -> None:
        if stanza.tag == f"{{{ns.CLIENT}}}message" and stanza.get("type") != "error":
            stanza_id = stanza.get("id", "")
            self.came[stanza_id] += 1
            self.order.append(stanza_id)

    def say(self, stanza_id: str) -> None:
        """Sends one message; if the link is down it goes out with the next resumption."""
        self.sent.append(stanza_id)
        with suppress(StreamEnded, ServerSilent):
            self.client.send_message(self.peer_jid, f"body of {stanza_id}", stanza_id)

    def _revive(self) -> None:
        while not self._leaving:
            self.client.ended.wait()
            if self._leaving or not self.client.session_id:
                gevent.sleep(0.05)
                continue
            try:
                self.client.resume()
                self.resumed += 1
            except ResumeFailed:
                self.refused += 1
                self.client.cut()
                return
            except (StreamEnded, ServerSilent, Unexpected):
                gevent.sleep(random.uniform(0.02, 0.2))

    def is_settled(self, expected: set[str]) -> bool:
        """Everything it sent is acknowledged, and everything `expected` came."""
        return not self.client.unacked and all(self.came[one] for one in expected)

    def leave(self) -> None:
        """Ends without a word."""
        self._leaving = True
        self._reviving.kill()
        self.client.cut()


class Crowd:
    """Clients in pairs, each talking to the other."""

    def __init__(self, server: Server, pairs: int, rng: random.Random) -> None:
        self._rng = rng
        self._round = 0
        accounts = server.add_accounts(2 * pairs)
        self.talkers = [
            Talker(server.client(account, resource="phone", tls="direct" if number % 4 >= 2 else "starttls"))
            for number, account in enumerate(accounts)
        ]

    def login(self) -> None:
        """All of them log in."""
        pool = Pool(_LOGINS_AT_ONCE)
        pool.map(lambda talker: talker.client.login(), self.talkers)
        for one, other in self.pairs():
            one.peer_jid, other.peer_jid = other.client.jid, one.client.jid

    def pairs(self) -> list[tuple[Talker, Talker]]:
        """Who talks with whom."""
        return list(zip(self.talkers[::2], self.talkers[1::2], strict=True))

    def talk(self, messages: int, seconds: float, strike: Callable[[], None], *, settle_s: float = 20.0) -> Tally:
        """Each says so many messages within about `seconds`; meanwhile `strike` runs. Answers what became of them."""
        self._round += 1
        before = [(len(one.sent), len(one.order), one.resumed, one.refused) for one in self.talkers]
        talking = [gevent.spawn(self._chatter, talker, messages, seconds) for talker in self.talkers]
        striking = gevent.spawn(strike)
        gevent.joinall([*talking, striking], raise_error=True)
        self._settle(settle_s)
        return self._count(before)

    def _chatter(self, talker: Talker, messages: int, seconds: float) -> None:
        pause = 2 * seconds / messages
        name = talker.client.username
        for number in range(messages):
            talker.say(f"{name}-{self._round:03}-{number:04}")
            gevent.sleep(self._rng.uniform(0, pause))

    def cut_some(self) -> None:
        """A third of the clients lose their link at once."""
        for talker in self._rng.sample(self.talkers, max(1, len(self.talkers) // 3)):
            talker.client.cut(reset=self._rng.random() < 0.5)

    def _settle(self, settle_s: float) -> None:
        deadline = time.monotonic() + settle_s
        while time.monotonic() < deadline:
            waiting = [one for one, expected in self._expected() if not one.is_settled(expected)]
            if not waiting or any(talker.refused for talker in self.talkers):
                return
            for talker in waiting:
                with suppress(WakegateError):
                    if not talker.client.ended.is_set():
                        talker.client.request_ack()
            gevent.sleep(0.05)

    def _expected(self) -> list[tuple[Talker, set[str]]]:
        found = []
        for one, other in self.pairs():
            prefix = f"-{self._round:03}-"
            found.append((one, {stanza_id for stanza_id in other.sent if prefix in stanza_id}))
            found.append((other, {stanza_id for stanza_id in one.sent if prefix in stanza_id}))
        return found

    def _count(self, before: list[tuple[int, int, int, int]]) -> Tally:
        total = Tally()
        marks = dict(zip(self.talkers, before, strict=True))
        for talker, expected in self._expected():
            sent_before, order_before, resumed_before, refused_before = marks[talker]
            peer = self._peer_of(talker)
            accepted = set(peer.client.accepted)
            order = talker.order[order_before:]
            first = list(dict.fromkeys(order))
            lost = {one for one in expected & accepted if not talker.came[one]}
            doubled = {one for one in order if talker.came[one] > 1}
            total.sent += len(talker.sent) - sent_before
            total.accepted += len(expected & accepted)
            total.received += len(expected & set(order))
            total.lost += len(lost) if not any(one.refused for one in self.talkers) else 0  # else it may yet come
            total.doubled += len(doubled)
            total.disordered += first != sorted(first)
            total.resumed += talker.resumed - resumed_before
            total.refused += talker.refused - refused_before
            total.unfinished += len(talker.client.unacked)
            total.examples += [f"not received {one}" for one in sorted(lost)] + [
                f"doubled {one}" for one in sorted(doubled)
            ]
        return total

    def _peer_of(self, talker: Talker) -> Talker:
        at = self.talkers.index(talker)
        return self.talkers[at ^ 1]

    def leave(self) -> None:
        """Everybody's link ends."""
        for talker in self.talkers:
            talker.leave()


@contextmanager
def a_crowd(server: Server, pairs: int, rng: random.Random) -> Iterator[Crowd]:
    """A crowd that is logged in, for the length of a with block."""
    crowd = Crowd(server, pairs, rng)
    try:
        crowd.login()
        yield crowd
    finally:
        crowd.leave()
