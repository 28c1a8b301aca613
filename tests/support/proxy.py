"""A bad network in one object: a TCP proxy that freezes, cuts, refuses and delays."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gevent
from gevent import socket
from gevent.event import Event
from gevent.server import StreamServer

_RESET = struct.pack("ii", 1, 0)


class Link:
    """One connection through the proxy: the client's socket, the server's, and a greenlet for each direction."""

    def __init__(self, proxy: "Proxy", client: Any) -> None:
        self.proxy = proxy
        self.client = client
        self.server = socket.create_connection(proxy.target, timeout=10)
        self.server.settimeout(None)
        for end in (self.client, self.server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.abandoned = False
        self.pumps = [
            gevent.spawn(self._pump, self.client, self.server, proxy.up_open, is_up=True),
            gevent.spawn(self._pump, self.server, self.client, proxy.down_open, is_up=False),
        ]

    def _pump(self, source: Any, sink: Any, is_open: Event, *, is_up: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.proxy.up_bytes += len(data) if is_up else 0
                if self.proxy.delay_s:
                    gevent.sleep(self.proxy.delay_s)
                is_open.wait()
                sink.sendall(data)
        is_open.wait()
        if not self.abandoned:
            _close(sink, reset=False)
            _close(source, reset=False)

    def cut(self, *, reset: bool, client: bool, server: bool) -> None:
        self.abandoned = True
        for pump in self.pumps:
            pump.kill()
        if client:
            _close(self.client, reset=reset)
        if server:
            _close(self.server, reset=reset)


class Proxy:
    """Stands before `target` on a loopback port of its own; `with proxy_to(port) as proxy` closes it afterwards.

    freeze() stops forwarding with every socket open, as a phone that left coverage; cut() ends the links; `refusing`
    closes every later connection at once; `delay_s` holds each piece back, in each direction.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.links: list[Link] = []
        self._half_cut: list[Link] = []
        self.refusing = False
        self.delay_s = 0.0
        self.up_bytes = 0
        self.up_open = Event()
        self.down_open = Event()
        self.thaw()
        self._server = StreamServer(("127.0.0.1", 0), self._accept)
        self._server.start()

    @property
    def port(self) -> int:
        """Where clients connect to."""
        return int(self._server.server_port)

    def freeze(self, *, up: bool = True, down: bool = True) -> None:
        """Forwards nothing more from the clients (`up`) or to them (`down`), links made later included."""
        if up:
            self.up_open.clear()
        if down:
            self.down_open.clear()

    def thaw(self) -> None:
        """Forwards again, what was held back first."""
        self.up_open.set()
        self.down_open.set()

    def cut(self, *, reset: bool = True, client: bool = True, server: bool = True) -> None:
        """Ends every link by RST, or FIN; only towards one side if the other is to notice nothing."""
        links, self.links = self.links, []
        for link in links:
            link.cut(reset=reset, client=client, server=server)
        self._half_cut += links

    def close(self) -> None:
        """Stops listening and ends everything."""
        self._server.stop(timeout=1)
        self.links += self._half_cut
        self.cut()

    def _accept(self, client: Any, _address: Any) -> None:
        if self.refusing:
            _close(client, reset=True)
            return
        try:
            link = Link(self, client)
        except OSError:
            _close(client, reset=True)
            return
        self.links.append(link)
        gevent.joinall(link.pumps)
        # StreamServer closes the client's socket when this returns, and an abandoned link may still want its server's
        # end open.


@contextmanager
def proxy_to(port: int, host: str = "127.0.0.1") -> Iterator[Proxy]:
    """A proxy before a port of this machine, for the length of a with block."""
    proxy = Proxy((host, port))
    try:
        yield proxy
    finally:
        proxy.close()


def _close(end: Any, *, reset: bool) -> None:
    with suppress(OSError):
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        else:
            end.shutdown(socket.SHUT_RDWR)
        end.close()
