"""The connection to one server: kept up, and made anew; its requests answered, a bounded number at a time."""

from __future__ import annotations

import contextlib
import random
import secrets
import time
from typing import Any, Final

import gevent
from gevent import socket
from gevent.event import Event
from gevent.lock import RLock
from gevent.pool import Pool

from gateway.telemetry import get_logger
from gateway.xmpp import ns
from gateway.xmpp.element import Element
from gateway.xmpp.escape import escape
from workers.appserver.service import Service
from workers.appserver.settings import AppServerSettings, PeerSettings
from workers.appserver.stream import CLOSING, Accepted, ComponentStream, Send, StreamEnded, StreamError

log = get_logger(__name__)

FIRST_WAIT_S: Final = 1.0
"""the ceiling of the random wait before the second try; it doubles"""

STEADY_S: Final = 10.0
"""a connection that stood for so long was well: the next one is tried soon"""

ANSWER_S: Final = 15.0
"""for a ping's answer, or anything else"""

CONFLICT: Final = "conflict"
"""the stream error for a component that is connected already"""

DRAIN_S: Final = 5.0
"""for what is in hand when we stop"""


def pause_s(failures: int, *, most_s: float, uniform: Any = random.uniform) -> float:
    """Seconds before another try after so many that failed in a row: full jitter below a ceiling that doubles, so that
    many components do not come back to a server that restarts at one moment.
    """
    ceiling = min(most_s, FIRST_WAIT_S * 2.0 ** min(failures, 16))
    return float(uniform(min(0.05, ceiling), ceiling))


class Connection:
    """`run` until `stop`. `is_up`: the server has accepted us."""

    def __init__(self, domain: str, peer: PeerSettings, service: Service, settings: AppServerSettings) -> None:
        self.domain = domain
        self._peer = peer
        self._service = service
        self._settings = settings
        self._crew = Pool(settings.in_flight)
        self._stopping = Event()
        self._socket: Any = None
        self._writing = RLock()
        self.is_up = False

    def run(self) -> None:
        """Connect, serve, and again when that has ended."""
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            is_refusal = False
            try:
                self._serve()
            except (OSError, StreamEnded, StreamError, gevent.Timeout) as error:
                is_refusal = isinstance(error, StreamEnded) and error.is_refusal
                if not self._stopping.is_set():
                    self._say(error)
            finally:
                was_steady = self.is_up and time.monotonic() - started >= STEADY_S
                self._close()
            failures = 0 if was_steady else failures + 1
            # Whoever was refused would be refused again, until an operator has put it right.
            most_s = self._settings.retry_most
            self._stopping.wait(most_s if is_refusal else pause_s(failures, most_s=most_s))

    def _say(self, error: BaseException) -> None:
        """A refusal somebody has to put right at the server; but one of two processes is a spare, and is told so."""
        why = str(error) or type(error).__name__
        is_refused = isinstance(error, StreamEnded) and error.is_refusal and why != CONFLICT
        (log.error if is_refused else log.warning)("app_server_disconnected", component=self.domain, why=why)

    def stop(self) -> None:
        """Answer what is in hand, say goodbye, and end `run`. Returns when that is done, within `DRAIN_S`."""
        self._stopping.set()
        self._crew.join(timeout=DRAIN_S)
        if self.is_up:
            self._write(CLOSING)
        self._close()

    def _serve(self) -> None:
        """One connection, from its beginning to its end. Raises OSError, StreamEnded, StreamError, gevent.Timeout."""
        stream = ComponentStream(self.domain, self._peer.secret.value())
        with gevent.Timeout(self._settings.connect_timeout):
            self._socket = socket.create_connection((self._peer.host, self._peer.port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(stream.header)
            while not self.is_up:
                self._take(stream, self._socket.recv(65536))
        log.info("app_server_connected", component=self.domain, peer=f"{self._peer.host}:{self._peer.port}")
        has_asked = False
        while True:
            self._socket.settimeout(ANSWER_S if has_asked else self._settings.ping_after)
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                if has_asked:
                    raise
                has_asked = True
                self._write(self._ping())
                continue
            has_asked = False
            self._take(stream, data)

    def _take(self, stream: ComponentStream, data: bytes) -> None:
        if not data:
            raise StreamEnded("the connection ended")
        for event in stream.feed(data):
            if isinstance(event, Send):
                self._socket.sendall(event.data)
            elif isinstance(event, Accepted):
                self.is_up = True
            else:
                self._crew.spawn(self._handle, event)  # waits for a free place: the server's socket fills meanwhile

    def _handle(self, stanza: Element) -> None:
        try:
            answer = self._service.answer(stanza)
            if answer is not None:
                self._write(answer)
        except Exception:  # one request must not end the connection
            log.exception("app_server_request_failed", component=self.domain)

    def _write(self, data: bytes) -> None:
        """Whole stanzas only. Those that find no connection are lost, as those who asked are told by their server."""
        with self._writing:
            if not self.is_up:
                return
            try:
                with gevent.Timeout(ANSWER_S, TimeoutError("the server takes no bytes")):
                    self._socket.sendall(data)
            except OSError as error:
                log.info("app_server_answer_lost", component=self.domain, why=str(error))
                self._close()

    def _ping(self) -> bytes:
        """To ourselves (XEP-0199): it comes back if the server routes to us."""
        own, id_ = escape(self.domain), secrets.token_hex(6)
        return f"<iq type='get' id='{id_}' from='{own}' to='{own}'><ping xmlns='{ns.PING}'/></iq>".encode()

    def _close(self) -> None:
        """The reader, if it still reads, gets the end of the stream."""
        self.is_up = False
        if self._socket is not None:
            # shut down before it is closed: a reader that waits in another greenlet is woken by the former alone
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
