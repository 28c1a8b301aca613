"""Listening sockets: a wire and a greenlet for each connection, whatever strangers do."""

import errno
import ipaddress
import socket as std_socket
import ssl
from collections.abc import Callable, Container, Sequence
from typing import Any

import gevent
import gevent.socket

from gateway.limits.hits import Limit, Outcome
from gateway.limits.process import Limits, TurnedAway
from gateway.settings import ConfigError
from gateway.telemetry import get_logger
from gateway.transports.proxy_protocol import BadHeader, read_source
from gateway.transports.wire import HandshakeFailed, Wire

log = get_logger(__name__)

_BACKLOG = 4096
"""Connections that the kernel keeps until they are accepted; what Linux allows. When thousands come back at once, those
beyond it are asked again by TCP, after 1, 3, 7, … s: measured, the last ones waited longer for that than for all else.
"""

_ACCEPTS_IN_A_ROW = 16
"""Connections accepted before others have their turn: a flood must not starve those that are there."""

_OUT_OF_RESOURCES_S = 0.1
"""Wait before the next accept when the process has no descriptor left; the connection stays in the kernel's backlog."""

_MOST_FAREWELLS = 256
"""Connections that are turned away with a word at the same time; beyond them without."""

_FAREWELL_AFTER_S = 2.0
"""There are clients that connect again at once after a stream error, however often: they are told late."""

_FATAL = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)
"""Errors of accept() that say the listening socket is gone. All others pass."""


def parse_address(text: str) -> tuple[str, int]:
    """`host:port` or `[IPv6]:port` as (host, port). Raises ConfigError that says what is wrong with it."""
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ConfigError(f'{text!r} is not an address: write "host:port", such as "127.0.0.1:5222" or "[::1]:5222"')
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ConfigError(f"{text!r}: the port is a number from 0 to 65535 (0: any free one)")
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1])), int(port)
        except ValueError as exc:
            raise ConfigError(f"{text!r}: {host} is not an IPv6 address") from exc
    if ":" in host:
        raise ConfigError(f"{text!r}: an IPv6 address stands in brackets: [{host}]:{port}")
    return host, int(port)


def format_address(host: str, port: int) -> str:
    """The reverse of `parse_address`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Listener:
    """Listens on some addresses and runs `handle(wire)` in a greenlet of its own for each connection.

    With `direct_tls` the handshake (XEP-0368) is taken in that greenlet first, within `handshake_timeout_s`. When
    `handle` returns or raises, the wire is closed. `limits` say whom to serve, and when; nor are there more than
    `max_connections` at once. Who is not served is told `farewell(TurnedAway)`, if that needs no handshake.
    Connections from `proxies` begin with the PROXY protocol, which says who is counted.
    `reuse_port` lets several processes listen on the same port; the kernel spreads the connections (SO_REUSEPORT).
    """

    def __init__(
        self,
        addresses: Sequence[str],
        handle: Callable[[Wire], None],
        *,
        direct_tls: ssl.SSLContext | None = None,
        max_connections: int = 100_000,
        reuse_port: bool = True,
        handshake_timeout_s: float = 20,
        write_timeout_s: float = 60,
        limits: Limits | None = None,
        farewell: Callable[[TurnedAway], bytes] | None = None,
        proxies: Container[str] = (),
    ) -> None:
        self._parsed = [parse_address(address) for address in addresses]
        self._handle = handle
        self._direct_tls = direct_tls
        self._max_connections = max_connections
        self._reuse_port = reuse_port
        self._handshake_timeout_s = handshake_timeout_s
        self._write_timeout_s = write_timeout_s
        self._limits = limits
        self._farewell = farewell
        self._farewell_after_s = _FAREWELL_AFTER_S if farewell is not None else 0.0
        self._leaving = 0
        self._proxies = proxies
        self.introduced = 0
        """connections of which their proxy has not said yet whose they are"""
        self._sockets: list[Any] = []
        self._acceptors: list[gevent.Greenlet] = []
        self._is_full = False
        self.wires: set[Wire] = set()

    @property
    def addresses(self) -> list[str]:
        """The addresses that are listened on, with the real ports; [] before `start` and after `stop_accepting`."""
        return [format_address(*sock.getsockname()[:2]) for sock in self._sockets]

    def start(self) -> None:
        """Listen. Raises ConfigError if an address cannot be had; then none is listened on."""
        try:
            for host, port in self._parsed:
                self._sockets.append(_listen(host, port, self._reuse_port))
        except ConfigError:
            self.stop_accepting()
            raise
        self._acceptors = [gevent.spawn(self._accept, sock) for sock in self._sockets]

    def stop_accepting(self) -> None:
        """Listen no more; connections that are there go on. The kernel gives new ones to the other processes.

        Whoever was connected by the kernel already waits in this socket's queue, which no other process sees: those are
        taken first, or they would be reset.
        """
        gevent.killall(self._acceptors)
        for sock in self._sockets:
            self._take_queued(sock)
            sock.close()
        self._acceptors, self._sockets = [], []

    def use(self, context: ssl.SSLContext) -> None:
        """Take the handshakes of direct TLS with another certificate from now on."""
        if self._direct_tls is not None:
            self._direct_tls = context

    def _take_queued(self, sock: Any) -> None:
        sock.settimeout(0)
        for _ in range(_BACKLOG):
            try:
                connection, address = sock.accept()
            except OSError:  # BlockingIOError: the queue is empty
                return
            self._admit(connection, address)

    def _accept(self, sock: Any) -> None:
        """The greenlet of one listening socket."""
        accepted = 0
        while True:
            try:
                connection, address = sock.accept()
            except OSError as exc:
                if exc.errno in _FATAL:
                    log.error("listener_lost", reason=str(exc))
                    return
                log.warning("accept_failed", reason=str(exc))
                gevent.sleep(_OUT_OF_RESOURCES_S)
                continue
            self._admit(connection, address)
            accepted += 1
            if accepted % _ACCEPTS_IN_A_ROW == 0:
                gevent.sleep(0)

    def _admit(self, connection: Any, address: Any) -> None:
        if address[0] not in self._proxies:
            self._receive(connection, address)
        elif len(self.wires) + self.introduced < self._max_connections:
            self.introduced += 1
            gevent.spawn(self._introduce, connection, address)
        else:
            connection.close()

    def _introduce(self, connection: Any, address: Any) -> None:
        """The greenlet of a connection whose proxy has not said yet whose it is."""
        try:
            source = read_source(connection)
        except (BadHeader, OSError) as exc:
            log.warning("proxy_header_refused", proxy=address[0], reason=str(exc))
            connection.close()
            return
        finally:
            self.introduced -= 1
        self._receive(connection, source or address)

    def _receive(self, connection: Any, address: Any) -> None:
        wire = Wire(connection, format_address(*address[:2]), write_timeout_s=self._write_timeout_s)
        try:
            self._enter(wire, address[0])
        except TurnedAway as away:
            self._turn_away(wire, away)
            return
        self.wires.add(wire)
        gevent.spawn(self._serve, wire)

    def _enter(self, wire: Wire, host: str) -> None:
        """Raises TurnedAway."""
        if len(self.wires) >= self._max_connections:
            if not self._is_full:  # once until there is room again: a flood must not fill the log
                log.warning("connections_refused", max_connections=self._max_connections)
            self._is_full = True
            if self._limits is not None:
                self._limits.hits.count(Limit.CONNECTIONS, Outcome.REFUSED)
            raise TurnedAway("too many connections, try again later", is_busy=True)
        self._is_full = False
        if self._limits is not None:
            wire.visit = self._limits.enter(host)
            wire.visit.on_evicted = wire.abort

    def _turn_away(self, wire: Wire, away: TurnedAway) -> None:
        if self._leaving >= _MOST_FAREWELLS or self._direct_tls is not None:
            wire.abort()
            return
        self._leaving += 1
        gevent.spawn(self._see_off, wire, away)

    def _say_farewell(self, wire: Wire, away: TurnedAway) -> None:
        if self._direct_tls is None and self._farewell is not None:
            wire.write(self._farewell(away))

    def _see_off(self, wire: Wire, away: TurnedAway) -> None:
        """The greenlet of a connection that is not served."""
        try:
            gevent.sleep(self._farewell_after_s)
            self._say_farewell(wire, away)
            wire.close()
            wire.wait_closed()
        finally:
            self._leaving -= 1

    def _serve(self, wire: Wire) -> None:
        """The greenlet of one connection."""
        visit = wire.visit
        try:
            if visit is not None and not visit.wait_turn():
                self._say_farewell(wire, TurnedAway("too many log-ins at once, try again later", is_busy=True))
                return
            if self._direct_tls is not None and not wire.closed:
                if visit is not None:
                    visit.wait_for_handshake()
                wire.start_tls(self._direct_tls, timeout_s=self._handshake_timeout_s)
            self._handle(wire)
        except HandshakeFailed as exc:
            log.debug("handshake_failed", peer=wire.peer, reason=str(exc))
        except Exception:  # top of a greenlet: one connection's failure is reported and stays its own
            log.exception("connection_failed", peer=wire.peer)
        finally:
            wire.close()
            wire.wait_closed()
            self.wires.discard(wire)
            if visit is not None:
                visit.leave()


def _listen(host: str, port: int, reuse_port: bool) -> Any:
    sock = None
    try:
        family, kind, protocol, _, address = gevent.socket.getaddrinfo(host, port, type=std_socket.SOCK_STREAM)[0]
        sock = gevent.socket.socket(family, kind, protocol)
        sock.setsockopt(std_socket.SOL_SOCKET, std_socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(std_socket.SOL_SOCKET, std_socket.SO_REUSEPORT, 1)
        if family == std_socket.AF_INET6:  # so that 0.0.0.0 and [::] can be listened on side by side
            sock.setsockopt(std_socket.IPPROTO_IPV6, std_socket.IPV6_V6ONLY, 1)
        sock.setsockopt(std_socket.IPPROTO_TCP, std_socket.TCP_NODELAY, 1)  # inherited by every connection
        sock.bind(address)
        sock.listen(_BACKLOG)
    except (OSError, UnicodeError) as exc:  # UnicodeError: a host name that IDNA cannot encode
        if sock is not None:
            sock.close()
        text = getattr(exc, "strerror", None) or exc
        raise ConfigError(f"cannot listen on {format_address(host, port)}: {text}") from exc
    return sock
