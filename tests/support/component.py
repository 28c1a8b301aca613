"""An external component under a test's hand (XEP-0114), and a server that knows some."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from xml.etree.ElementTree import Element

import gevent
from gevent import socket

from gateway.demo.stream import STREAM_ERROR, Address, ClientStream, ServerSilent, StreamEnded, condition_of
from gateway.demo.xml_reader import StreamReader
from gateway.process import dies_with_parent
from gateway.xmpp import ns
from tests.support.phone import Phone, online
from tests.support.processes import DOMAIN, Server, Settings, free_ports

SECRET = "open bridge"  # of every component a test configures
BRIDGE, ECHO, LOUNGE = f"bridge.{DOMAIN}", f"echo.{DOMAIN}", "lounge.example"


def tag(name: str) -> str:
    """The tag of a stanza, or of a stanza's own child, in a component's stream."""
    return f"{{{ns.COMPONENT}}}{name}"


_open: list["Component"] = []


def close_components() -> None:
    """Cuts what a test left open."""
    while _open:
        _open.pop().cut()


class Component(ClientStream):
    """One connection of a component. Nothing is sent that the test did not ask for."""

    __slots__ = ()

    def __init__(self, port: int, domain: str = BRIDGE) -> None:
        super().__init__(Address("127.0.0.1", port, domain, "none", ""))
        _open.append(self)

    def open(self, *, to: str = "", namespace: str = ns.COMPONENT) -> "Component":
        """Connects and exchanges stream headers."""
        self._sock = cast(Any, socket.socket())
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self._sock.settimeout(10)
        self._sock.connect((self.address.host, self.address.port))
        self._sock.settimeout(None)
        self._reader = StreamReader()
        domain = to or self.address.domain
        self.send(f"<?xml version='1.0'?><stream:stream to='{domain}' xmlns='{namespace}' xmlns:stream='{ns.STREAM}'>")
        with gevent.Timeout(10, ServerSilent("no stream header")):
            while self._reader.header is None:
                data = self._sock.recv(65536)
                if not data:
                    raise StreamEnded
                self._ready.extend(self._reader.feed(data))
        return self

    @property
    def header(self) -> dict[str, str]:
        """The attributes of the server's stream header."""
        return self._reader.header or {}

    def shake(self, secret: str = SECRET) -> "Component":
        """Sends the handshake; returns when the server has accepted it."""
        self.send(f"<handshake>{self.digest(secret)}</handshake>")
        self.expect(tag("handshake"), 15)
        return self

    def digest(self, secret: str = SECRET) -> str:
        """What the handshake holds (XEP-0114 section 3)."""
        return hashlib.sha1((self.header["id"] + secret).encode()).hexdigest()

    def stream_error(self) -> str:
        """The condition of the stream error that ends this stream; whatever comes before it is skipped."""
        while True:
            element = self.receive(15)
            if element.tag == STREAM_ERROR:
                return condition_of(element)

    def next(self, name: str) -> Element:
        """The next element, which must be a stanza of this name."""
        return self.expect(tag(name), 10)

    def round_trip(self) -> None:
        """Returns when the server has routed everything sent so far; nothing else may come before."""
        self.send(f"<iq type='get' id='rt' from='{self.address.domain}' to='{DOMAIN}'><ping xmlns='{ns.PING}'/></iq>")
        answer = self.next("iq")
        assert ("rt", "result") == (answer.get("id"), answer.get("type"))


def component(port: int, domain: str = BRIDGE) -> Component:
    """A connected component."""
    return Component(port, domain).open().shake()


@dataclass(frozen=True, slots=True)
class TwoGateways:
    """Two gateway processes on one store: the supervised one of `server`, and another with ports of its own."""

    server: Server
    component_port: int
    other: "OtherGateway"


@dataclass(frozen=True, slots=True)
class OtherGateway:
    """What a phone or a component needs to know of the second process."""

    server: Server
    c2s_port: int
    component_port: int

    def address(self) -> Address:
        """Where phones connect."""
        return Address("127.0.0.1", self.c2s_port, DOMAIN, "starttls", self.server.cafile)


def leave(connected: Component) -> None:
    """Ends the stream; the server has ended the session when it has closed its own."""
    try:
        connected.end()
        while True:
            connected.receive(10)
    except StreamEnded:
        connected.cut()


def a_user(gateways: TwoGateways) -> Phone:
    """A user on the other process."""
    return online(gateways.other, gateways.server.account())


def error_of(reply: Element) -> tuple[str | None, str]:
    """The type of an error stanza's error, and its condition."""
    error = next(child for child in reply if child.tag.endswith("}error"))
    return error.get("type"), condition_of(error)


def component_settings(port: int, **components: Any) -> dict[str, dict[str, Any]]:
    """Sections for a server with the components of these tests."""
    return {
        "listen": {"components": [f"127.0.0.1:{port}"]},
        "components": components,
        f'components.domains."{BRIDGE}"': {"secret": SECRET, "name": "The bridge"},
        f'components.domains."{ECHO}"': {"secret": SECRET},
        f'components.domains."{LOUNGE}"': {"secret": SECRET},
    }


@contextmanager
def two_gateways(directory: Path, settings: Settings | None = None, **components: Any) -> Iterator[TwoGateways]:
    """`wakegate up`, and one more `wakegate gateway` beside it."""
    component_port, other_c2s, other_component_port = free_ports(3)
    server = Server(directory, settings={**component_settings(component_port, **components), **(settings or {})})
    try:
        server.start()
        with _another_gateway(server, other_c2s, other_component_port):
            yield TwoGateways(server, component_port, OtherGateway(server, other_c2s, other_component_port))
    finally:
        server.stop()


@contextmanager
def _another_gateway(server: Server, c2s: int, components: int) -> Iterator[None]:
    config = server.directory / "other.toml"
    config.write_text(
        f'[listen]\nc2s = ["127.0.0.1:{c2s}"]\nc2s_tls = []\nwebsocket = []\nweb = []\n'
        f'components = ["127.0.0.1:{components}"]\n'
    )
    with server.log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "gateway", "--config", str(server.config), "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=server.directory,
            preexec_fn=dies_with_parent(),
        )
    try:
        server.wait(lambda: all(_accepts(port) for port in (c2s, components)), "the other gateway")
        yield
    finally:
        process.terminate()
        process.wait(20)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True
