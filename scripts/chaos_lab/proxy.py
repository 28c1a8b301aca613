"""The bad network: a TCP proxy before the gateways whose links can be hurt one by one, in all the ways that links are.

cut       both ends see it at once (RST, or FIN)
freeze    nothing passes for a while, then everything that was held back
half-open one end sees the link end, the other one nothing for a while: FIN and RST are swallowed. Seen by the client
          first, this is also how connections change their order: what the old one carried, and its end, reach the
          gateways after the client's next connection has begun
delay     each piece is held back
trickle   a few bytes at a time
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
from gevent import socket
from gevent.event import Event
from gevent.server import StreamServer

FAULTS = ("reset", "close", "freeze", "lose-server", "lose-client", "delay", "trickle")
"""What can be done to a link. lose-server: the server notices nothing for a while; lose-client: the client does not."""

_RESET = struct.pack("ii", 1, 0)
_CHUNK = 65536
_TRICKLE_BYTES, _TRICKLE_S = 200, 0.05


class Link:
    """A client's connection and the one to the server, with a greenlet for each direction."""

    def __init__(self, client: Any, target: tuple[str, int]) -> None:
        self.client = client
        self.server = socket.create_connection(target, timeout=10)
        self.server.settimeout(None)
        for end in (self.client, self.server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.delay_s = 0.0
        self.trickles = False
        self.hurt = False
        self._flows = Event()
        self._flows.set()
        self._up = gevent.spawn(self._pump, self.client, self.server)
        self._down = gevent.spawn(self._pump, self.server, self.client)

    def suffer(self, fault: str, seconds: float) -> None:
        """One of FAULTS, for so long; returns when it is over."""
        self.hurt = True
        if fault in ("reset", "close"):
            self.end(reset=fault == "reset")
        elif fault == "freeze":
            self._flows.clear()
            gevent.sleep(seconds)
            self._flows.set()
        elif fault == "lose-server":
            self._lose(self.client, self.server, seconds)
        elif fault == "lose-client":
            self._lose(self.server, self.client, seconds)
        elif fault == "delay":
            self.delay_s = seconds / 20
            gevent.sleep(seconds)
            self.delay_s = 0.0
        else:
            self.trickles = True
            gevent.sleep(seconds)
            self.trickles = False
        self.hurt = False

    def _lose(self, sees_it: Any, sees_nothing: Any, seconds: float) -> None:
        """One end is told at once; what is on its way to the other one, and the end, come late."""
        self._flows.clear()
        gevent.sleep(min(0.3, seconds / 2))  # so that something is on its way
        _close(sees_it, reset=True)
        gevent.sleep(seconds)
        self._flows.set()
        with gevent.Timeout(1, False):
            gevent.joinall([self._up if sees_nothing is self.server else self._down])
        self.end(reset=False)

    def end(self, *, reset: bool) -> None:
        """Both ends see it."""
        self._flows.set()
        for pump in (self._up, self._down):
            if pump is not gevent.getcurrent():
                pump.kill(block=False)
        for end in (self.client, self.server):
            _close(end, reset=reset)

    def wait(self) -> None:
        """Until nothing flows any more."""
        gevent.joinall([self._up, self._down])

    def _pump(self, source: Any, sink: Any) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if self.delay_s:
                    gevent.sleep(self.delay_s)
                if not self._flows.is_set():
                    data = self._held(source, data)
                if self.trickles:
                    self._trickle(sink, data)
                else:
                    sink.sendall(data)
        self._flows.wait()
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        if not self.hurt:
            gevent.sleep(0.05)
            for end in (self.client, self.server):
                _close(end, reset=False)

    def _held(self, source: Any, data: bytes) -> bytes:
        """What comes until it flows again, or the source has ended."""
        held = [data]
        source.settimeout(0.05)
        try:
            while not self._flows.is_set():
                with suppress(TimeoutError):
                    more = source.recv(_CHUNK)
                    if not more:
                        break
                    held.append(more)
            source.settimeout(None)
        except OSError:
            pass  # the end of the source: what it gave before is passed on
        self._flows.wait()
        return b"".join(held)

    def _trickle(self, sink: Any, data: bytes) -> None:
        for at in range(0, len(data), _TRICKLE_BYTES):
            sink.sendall(data[at : at + _TRICKLE_BYTES])
            if self.trickles:
                gevent.sleep(_TRICKLE_S)


class Proxy:
    """Listens on a loopback port of its own and passes everything on to `target`."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.links: list[Link] = []
        self._server = StreamServer(("127.0.0.1", 0), self._accept, backlog=1024)
        self._server.start()

    @property
    def port(self) -> int:
        """Where clients connect."""
        return int(self._server.server_port)

    def hurt_one(self, rng: random.Random, note: Callable[[str, float], None]) -> None:
        """Some fault strikes some link; `note` is told which, and for how long."""
        sound = [link for link in self.links if not link.hurt]
        fault, seconds = rng.choice(FAULTS), rng.uniform(0.5, 6.0)
        if sound:
            note(fault, seconds)
            gevent.spawn(rng.choice(sound).suffer, fault, seconds)

    def cut_all(self) -> int:
        """Every link ends at once; answers how many did."""
        links = list(self.links)
        for link in links:
            link.end(reset=True)
        return len(links)

    def lose_all(self, seconds: float) -> None:
        """Every sound link ends for its client; its server sees that, and what was on its way, so much later."""
        for link in [link for link in self.links if not link.hurt]:
            gevent.spawn(link.suffer, "lose-server", seconds)

    def heal(self) -> None:
        """Links that hold something back pass it on."""
        for link in list(self.links):
            if link.hurt:
                link.end(reset=True)

    def close(self) -> None:
        """Stop listening, and end everything."""
        self._server.stop(timeout=1)
        self.cut_all()

    def _accept(self, client: Any, _address: Any) -> None:
        try:
            link = Link(client, self.target)
        except OSError:
            _close(client, reset=True)
            return
        self.links.append(link)
        try:
            link.wait()
        finally:
            self.links.remove(link)


def _close(end: Any, *, reset: bool) -> None:
    """By RST, or FIN."""
    with suppress(OSError):
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        else:
            end.shutdown(socket.SHUT_RDWR)
        end.close()
