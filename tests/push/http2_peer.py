"""A server that does what a test tells it to, frame by frame, made with another library (h2) than our client."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import gevent
import h2.config
import h2.connection
import h2.events
from gevent import ssl as gssl
from gevent.server import StreamServer
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame

from workers.push.http2.origin import Origin
from workers.sandbox.material import prepare


class Link:
    """One accepted connection."""

    def __init__(self, sock: ssl.SSLSocket, number: int, settings: dict[SettingCodes, int]) -> None:
        self.sock = sock
        self.number = number
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        self.bodies: dict[int, bytes] = {}
        self.ids: dict[int, str] = {}
        self.flush()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def answer(self, stream: int, status: int = 200, chunks: tuple[bytes, ...] = ()) -> None:
        """A reply whose body comes in these DATA frames; without any, in the headers alone."""
        fields = [(":status", str(status)), ("apns-id", self.ids.get(stream, ""))]
        self.h2.send_headers(stream, fields, end_stream=not chunks)
        for place, chunk in enumerate(chunks):
            self.h2.send_data(stream, chunk, end_stream=place == len(chunks) - 1)
        self.flush()

    def goaway(self, last_stream_id: int, debug: bytes = b'{"reason": "Shutdown"}') -> None:
        """GOAWAY past h2, which would refuse to answer what is still to be answered."""
        frame = GoAwayFrame(0, last_stream_id=last_stream_id, error_code=0, additional_data=debug)
        self.sock.sendall(self.h2.data_to_send() + frame.serialize())


OnRequest = Callable[[Link, int], None]


class Peer:
    """Listens on loopback; calls `on_request(link, stream)` for each complete request."""

    def __init__(
        self, directory: Path, on_request: OnRequest, *, settings: dict[SettingCodes, int] | None = None
    ) -> None:
        material = prepare(directory)
        self._on_request = on_request
        self._settings = settings or {}
        self.links: list[Link] = []
        self.most_open = 0
        self.resets: list[int] = []
        self.pings = 0
        self.is_deaf = False
        context = gssl.SSLContext(gssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(material.server_file)
        context.set_alpn_protocols(["h2"])
        self._server = StreamServer(("127.0.0.1", 0), self._serve, ssl_context=context)
        self._server.start()
        self.origin = Origin("127.0.0.1", self._server.server_port, ca_file=str(material.ca_file))

    @property
    def requests(self) -> int:
        """Complete requests, of all links."""
        return sum(len(link.bodies) for link in self.links)

    def stop(self) -> None:
        for link in self.links:
            link.sock.close()
        self._server.stop(timeout=1)

    def _serve(self, sock: ssl.SSLSocket, _address: object) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(sock, len(self.links) + 1, self._settings)
        self.links.append(link)
        open_streams: set[int] = set()
        try:
            while data := sock.recv(65_536):
                while self.is_deaf:
                    gevent.sleep(0.01)
                self._take(link, data, open_streams)
        except (OSError, ValueError):
            return

    def _take(self, link: Link, data: bytes, open_streams: set[int]) -> None:
        for event in link.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                open_streams.add(event.stream_id)
                self.most_open = max(self.most_open, len(open_streams))
                link.bodies.setdefault(event.stream_id, b"")
                link.ids[event.stream_id] = dict(event.headers).get("apns-id", "")
            elif isinstance(event, h2.events.DataReceived):
                link.bodies[event.stream_id] += event.data
                link.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.resets.append(event.stream_id)
                open_streams.discard(event.stream_id)
            elif isinstance(event, h2.events.PingReceived):
                self.pings += 1
            elif isinstance(event, h2.events.StreamEnded):
                link.flush()
                open_streams.discard(event.stream_id)
                self._on_request(link, event.stream_id)
        link.flush()
