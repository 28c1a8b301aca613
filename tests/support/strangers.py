"""Clients before authentication: they make accounts, or try to."""

from xml.etree.ElementTree import Element

from gateway.demo.stream import ClientStream
from gateway.xmpp import ns
from tests.support.phone import HasAddress, stanza
from tests.support.processes import PASSWORD

_open: list[ClientStream] = []


def close_strangers() -> None:
    """Cuts what a test left open."""
    while _open:
        _open.pop().cut()


def stranger(server: HasAddress) -> ClientStream:
    """Somebody unknown, inside TLS."""
    stream = ClientStream(server.address())
    _open.append(stream)
    stream.connect()
    return stream


def offered(stream: ClientStream) -> set[str]:
    """The ways to register that the stream's features name."""
    return {one.tag for one in stream.features if one.tag.endswith("}register")}


def say(stream: ClientStream, type_: str, inner: str = "") -> Element:
    """A request of XEP-0077, and its answer."""
    return stream.request(
        f"<iq type='{type_}' id='r' to='localhost'><query xmlns='{ns.REGISTER}'>{inner}</query></iq>", stanza("iq")
    )


def register(stream: ClientStream, name: str, password: str = PASSWORD) -> Element:
    """Makes an account, if the server lets it."""
    return say(stream, "set", f"<username>{name}</username><password>{password}</password>")


def show(stream: ClientStream, token: str) -> Element:
    """Shows an invitation (XEP-0445)."""
    return stream.request(
        f"<iq type='set' id='pa1' to='localhost'><preauth xmlns='{ns.PREAUTH}' token='{token}'/></iq>", stanza("iq")
    )
