"""One APNs environment's TLS listener: TLS 1.2 or later, ALPN h2 and nothing else, client certificates welcome."""

import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import gevent
import gevent.ssl
from gevent.pool import Pool
from gevent.server import StreamServer

from gateway.telemetry import get_logger
from workers.sandbox.apns.connection import ApnsConnection
from workers.sandbox.apns.credential import CertificateCredential, Credential, TokenCredential
from workers.sandbox.apns.service import ApnsService
from workers.sandbox.listening import address_of, is_let_in, listen
from workers.sandbox.material import Material

log = get_logger(__name__)

CONNECTION_LIMIT = 2000
HANDSHAKE_TIMEOUT_S = 10.0


class ApnsListener:
    """Accepts connections and serves each in a greenlet of a bounded pool."""

    def __init__(
        self, service: ApnsService, material: Material, address: tuple[str, int], second_host: str = ""
    ) -> None:
        self._service = service
        self._context = _context(material)
        self._address = address
        self._second_host = second_host
        self._servers: list[Any] = []
        self._open: set[ApnsConnection] = set()

    def start(self) -> tuple[str, int]:
        """Listen, with a second host at the same port there as well; returns the address with its real port.

        Raises OSError.
        """
        address = self._listen(self._address)
        if self._second_host:
            self._listen((self._second_host, address[1]))
        return address

    def stop(self) -> None:
        """Stop listening and close all connections."""
        for connection in list(self._open):
            connection.close()
        while self._servers:
            self._servers.pop().stop(timeout=1)

    def retire_all(self, reason: str) -> int:
        """Send GOAWAY on all connections; returns on how many."""
        return self._on_all(lambda connection: connection.retire(reason))

    def refresh_all(self) -> int:
        """Tell all connections that the behaviour has changed; returns how many there are."""
        if self._service.state.behaviour.apns_connections != "served":
            return self._on_all(lambda connection: connection.close(abruptly=True))
        return self._on_all(lambda connection: connection.refresh())

    def ping_all(self, timeout_s: float) -> list[float | None]:
        """Send PING on all connections at once; the seconds until each was answered, None for one that was not."""

        def ping(connection: ApnsConnection) -> float | None:
            try:
                return connection.ping(timeout_s)
            except OSError:
                return None

        waiting = [gevent.spawn(ping, connection) for connection in self._open]
        gevent.joinall(waiting, timeout=timeout_s + 1)
        return [greenlet.value for greenlet in waiting]

    def _listen(self, address: tuple[str, int]) -> tuple[str, int]:
        sock = listen(address)
        server = StreamServer(sock, self._serve, spawn=Pool(CONNECTION_LIMIT))
        server.start()
        self._servers.append(server)
        return address_of(sock)

    def _on_all(self, act: Callable[[ApnsConnection], None]) -> int:
        connections = list(self._open)
        for connection in connections:
            try:
                act(connection)
            except OSError:
                connection.close()
        return len(connections)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def _serve(self, plain: Any, address: tuple[Any, ...]) -> None:
        counters = self._service.state.record.counters
        if not is_let_in(plain, lambda: self._service.state.behaviour.apns_connections):
            counters["apns_connections_refused"] += 1
            return
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with gevent.Timeout(HANDSHAKE_TIMEOUT_S, TimeoutError("TLS handshake took too long")):
                sock = self._context.wrap_socket(plain, server_side=True)
        except OSError as error:
            counters["apns_handshakes_failed"] += 1
            log.info("apns_handshake_failed", peer=address[0], error=str(error))
            plain.close()
            return
        if sock.selected_alpn_protocol() != "h2":
            # APNs speaks nothing but HTTP/2, and a client that did not offer it would not understand an answer.
            counters["apns_not_h2"] += 1
            log.info("apns_client_offers_no_h2", peer=address[0])
            sock.close()
            return
        counters["apns_connections"] += 1
        counters[f"apns_{self._service.environment}_connections"] += 1
        counters[f"apns_connections_to_{sock.getsockname()[0]}"] += 1
        self._service.state.connection_peak.note(time.monotonic())
        number = next(self._service.state.connection_numbers)
        connection = ApnsConnection(sock, self._service, self._credential(sock), number)
        self._open.add(connection)
        try:
            connection.run()
        finally:
            self._open.discard(connection)

    def _credential(self, sock: Any) -> Credential:
        certificate = sock.getpeercert(binary_form=True)
        if certificate:
            return CertificateCredential(certificate, self._service.environment)
        state = self._service.state
        return TokenCredential(state.keys, self._service.environment, lambda: state.behaviour)


def _context(material: Material) -> Any:
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(material.server_file)
    context.load_verify_locations(material.ca_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["h2"])
    return context
