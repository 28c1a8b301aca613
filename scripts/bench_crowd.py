"""Clients for benchmarks, many in one light process, each with an address of its own below 127.0.0.0/8.

A program: it reads one command a line (JSON) and answers each with a line. `scripts/bench_sessions.py` starts some.
They speak the least of XMPP that a phone needs: TLS, SCRAM-SHA-256, XEP-0198; the salted password is kept, as RFC 5802
section 5.1 has clients do, so that what is measured is the server.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import base64
import hashlib
import hmac
import json
import os
import random
import re
import socket
import ssl
import struct
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Final

import gevent
from gevent.event import Event
from gevent.fileobject import FileObject
from gevent.pool import Pool

WAIT_S: Final = 120.0
"""for one step of a login; who waits longer has failed"""

RETRY_S: Final = 1.0
"""about so long a client that was turned away waits before it tries again, and each time twice as long, up to:"""

LONGEST_RETRY_S: Final = 16.0

RETRIES: Final = 10

OPEN: Final = b"<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
SASL: Final = "urn:ietf:params:xml:ns:xmpp-sasl"
SM: Final = "urn:xmpp:sm:3"
BIND: Final = (
    b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>"
    b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
)
MESSAGE: Final = (
    b"<message type='chat' id='0123456789abcdef' to='%s'><body>" + b"x" * 160 + b"</body>"
    b"<active xmlns='http://jabber.org/protocol/chatstates'/></message>"
)
"""about 290 bytes"""

RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: close by a reset, as a link that breaks"""


class TurnedAway(Exception):
    """The server ended the connection, or said no."""


@lru_cache(4)
def keys_of(salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    """RFC 5802 section 3: ClientKey and StoredKey of the one password that all accounts have."""
    client_key = hmac.digest(hashlib.pbkdf2_hmac("sha256", b"secret", salt, iterations), b"Client Key", "sha256")
    return client_key, hashlib.sha256(client_key).digest()


@lru_cache(1)
def tls() -> ssl.SSLContext:
    """One for all of them. The certificate is the server's own, on loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["xmpp-client"])
    return context


@dataclass(slots=True, eq=False)
class Guest:
    """One client: account u<number>."""

    number: int
    port: int
    is_secure: bool
    sock: Any = None
    rest: bytes = b""
    sid: str = ""
    handled: int = 0
    reader: Any = None
    tried_at: float = 0.0
    """when the last try began"""
    received: int = 0
    """messages"""
    on_message: Any = None
    """an event"""

    def arrive(self) -> int:
        """Be logged in, or resumed if there is a session to resume; answers how often it was turned away."""
        for tries in range(RETRIES + 1):
            try:
                self.tried_at = time.monotonic()
                with gevent.Timeout(WAIT_S, TurnedAway("no answer")):
                    self._arrive()
                return tries
            except (OSError, TurnedAway):
                self._drop()
                if tries == RETRIES:
                    raise
                gevent.sleep(min(LONGEST_RETRY_S, RETRY_S * 2**tries) * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")

    def _arrive(self) -> None:
        self._connect()
        self._authenticate()
        if not (self.sid and self._resumes()):
            self.handled = 0
            self._say(BIND)
            answer = self._until(b"<enabled", b"<failed", b"type='error'", b'type="error"')
            found = re.search(rb"<enabled[^>]* id=['\"]([^'\"]+)", answer)
            if found is None:
                raise TurnedAway(answer[-300:].decode(errors="replace"))
            self.sid = found[1].decode()
            self._say(b"<presence/>")
        # `rest` may hold stanzas that came behind the answer: they count.
        self.reader = gevent.spawn(self._read)

    def _connect(self) -> None:
        plain = socket.socket()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.bind((f"127.{1 + self.number // 62500}.{self.number // 250 % 250}.{1 + self.number % 250}", 0))
        plain.connect(("127.0.0.1", self.port))
        self.rest = b""
        self.sock = plain
        if self.is_secure:
            self.sock = tls().wrap_socket(plain, server_hostname="localhost")

    def _authenticate(self) -> None:
        self._say(OPEN)
        self._until(b"</stream:features>")
        nonce = base64.b64encode(os.urandom(12)).decode()
        bare = f"n=u{self.number},r={nonce}"
        self._say(f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{encoded(f'n,,{bare}')}</auth>".encode())
        challenge = base64.b64decode(inner(self._until(b"</challenge>"), b"challenge")).decode()
        parts = dict(part.split("=", 1) for part in challenge.split(","))
        client_key, stored_key = keys_of(base64.b64decode(parts["s"]), int(parts["i"]))
        unproved = f"c=biws,r={parts['r']}"
        signature = hmac.digest(stored_key, f"{bare},{challenge},{unproved}".encode(), "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        final = f"{unproved},p={base64.b64encode(proof).decode()}"
        self._say(f"<response xmlns='{SASL}'>{encoded(final)}</response>".encode())
        self._until(b"</success>")
        self._say(OPEN)
        self._until(b"</stream:features>")

    def _resumes(self) -> bool:
        self._say(f"<resume xmlns='{SM}' h='{self.handled}' previd='{self.sid}'/>".encode())
        answer = self._until(b"<resumed", b"<failed")
        return b"<resumed" in answer

    def _say(self, data: bytes) -> None:
        self.sock.sendall(data)

    def _until(self, *tokens: bytes) -> bytes:
        """What came up to the end of the tag that begins with, or is, one of the tokens."""
        while True:
            for token in tokens:
                if (at := self.rest.find(token)) >= 0 and (end := self.rest.find(b">", at + len(token) - 1)) >= 0:
                    found, self.rest = self.rest[: end + 1], self.rest[end + 1 :]
                    return found
            if b"</failure>" in self.rest or b"</stream:error>" in self.rest:
                raise TurnedAway(self.rest[-300:].decode(errors="replace"))
            data = self.sock.recv(16384)
            if not data:
                raise TurnedAway(self.rest[-300:].decode(errors="replace"))
            self.rest += data

    def _read(self) -> None:
        """Count stanzas and answer <r/> until the link ends."""
        while True:
            cut = self.rest.rfind(b">") + 1
            data, self.rest = self.rest[:cut], self.rest[cut:]
            messages = data.count(b"</message>")
            self.handled += messages + data.count(b"</iq>") + data.count(b"</presence>")
            self.handled += len(re.findall(rb"<(?:presence|iq)[^>]*/>", data))
            try:
                if messages and self.on_message is not None:
                    self.received += messages
                    self.on_message.set()
                if b"<r " in data:
                    self._say(b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % self.handled)
                more = self.sock.recv(16384)
            except OSError:
                return
            if not more:
                return
            self.rest += more

    def talk(self, other: Guest, count: int, outstanding: int) -> None:
        """Send messages to somebody of the same process, so many ahead of what has come there."""
        other.received, other.on_message = 0, Event()
        text = MESSAGE % b"u%d@localhost" % other.number
        sent = 0
        while other.received < count:
            room = min(count - sent, outstanding - (sent - other.received))
            if room >= outstanding // 2 or (room and sent + room == count):
                self._say(text * room + b"<r xmlns='urn:xmpp:sm:3'/>")
                sent += room
                continue
            other.on_message.clear()
            if not other.on_message.wait(WAIT_S):
                raise SystemExit(f"{count - other.received} messages of u{self.number} did not arrive")

    def cut(self) -> None:
        """The link breaks."""
        if self.sock is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._drop()

    def leave(self) -> None:
        """End the session in good order."""
        self._say(b"<presence type='unavailable'/></stream:stream>")
        with gevent.Timeout(WAIT_S, False):
            self.reader.join()
        self.sid = ""
        self._drop()

    def _drop(self) -> None:
        if self.reader is not None:
            self.reader.kill()
            self.reader = None
        if self.sock is not None:
            self.sock.close()
            self.sock = None


def encoded(text: str) -> str:
    """Base64."""
    return base64.b64encode(text.encode()).decode()


def inner(data: bytes, name: bytes) -> bytes:
    """The text of the element that ends there."""
    return data.rpartition(b"</" + name)[0].rpartition(b">")[2]


@dataclass
class Arrivals:
    """How long each took, in seconds, from its first try to its session, and from the one that was not turned away; how
    often somebody was turned away, and who gave up.
    """

    took: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    turned_away: int = 0
    gave_up: int = 0
    why: str = ""

    def arrive(self, guest: Guest) -> bool:
        """One of them."""
        began = time.monotonic()
        try:
            tries = guest.arrive()  # others count meanwhile
            self.turned_away += tries
        except (OSError, TurnedAway) as error:
            self.turned_away += RETRIES + 1
            self.gave_up += 1
            self.why = str(error)
            return False
        now = time.monotonic()
        self.took.append(round(now - began, 4))
        self.served.append(round(now - guest.tried_at, 4))
        return True

    def to_dict(self) -> dict[str, Any]:
        """As it is answered."""
        return asdict(self)


class Crowd:
    """Answers commands."""

    def __init__(self) -> None:
        self.guests: list[Guest] = []
        self.visits = Arrivals()
        self.visitors: Any = None

    def do_arrive(self, first: int, count: int, port: int, is_secure: bool, at_once: int) -> dict[str, Any]:
        """Log accounts in, so many at a time."""
        guests = [Guest(number, port, is_secure) for number in range(first, first + count)]
        arrivals = Arrivals()
        is_there = Pool(at_once).map(arrivals.arrive, guests)
        self.guests += [guest for guest, came in zip(guests, is_there, strict=True) if came]
        return arrivals.to_dict()

    def do_talk(self, count: int, outstanding: int) -> dict[str, Any]:
        """Each second one sends to the next one; answers how many messages came."""
        pairs = list(zip(self.guests[::2], self.guests[1::2], strict=False))
        each = count // len(pairs)
        gevent.joinall([gevent.spawn(one.talk, other, each, outstanding) for one, other in pairs], raise_error=True)
        return {"delivered": each * len(pairs)}

    def do_cut(self, count: int) -> dict[str, Any]:
        """The links of the first so many break at once."""
        for guest in self.guests[:count]:
            guest.cut()
        return {}

    def do_resume(self, count: int, at_once: int) -> dict[str, Any]:
        """They come back."""
        arrivals = Arrivals()
        before = [guest.sid for guest in self.guests[:count]]
        Pool(at_once).map(arrivals.arrive, self.guests[:count])
        same = sum(guest.sid == sid for guest, sid in zip(self.guests[:count], before, strict=True))
        return {**arrivals.to_dict(), "resumed": same}

    def do_visit(self, first: int, count: int, port: int, is_secure: bool, per_s: float) -> dict[str, Any]:
        """From now on a log-in every so often, whether or not those before it have ended, by accounts in turn."""
        guests = [Guest(number, port, is_secure) for number in range(first, first + count)]

        def visit(guest: Guest) -> None:
            if self.visits.arrive(guest):
                guest.leave()

        def visits() -> None:
            due = time.monotonic()
            while True:
                gevent.spawn(visit, guests[0])
                guests.append(guests.pop(0))
                due += 1 / per_s
                gevent.sleep(max(0.0, due - time.monotonic()))

        self.visitors = gevent.spawn(visits)
        return {}

    def do_visited(self) -> dict[str, Any]:
        """How it went since the last time this was asked."""
        visits, self.visits = self.visits, Arrivals()
        return visits.to_dict()

    def do_end(self) -> dict[str, Any]:
        """Everybody goes at once."""
        if self.visitors is not None:
            self.visitors.kill()
        self.do_cut(len(self.guests))
        return {}


def main() -> None:
    """Read, do, answer."""
    crowd = Crowd()
    for line in FileObject(sys.stdin.fileno(), "rb", close=False):
        command = json.loads(line)
        answer = getattr(crowd, f"do_{command.pop('do')}")(**command)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
