"""A listening socket that is closed again if it cannot be bound, which gevent's servers leave to chance."""

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
import gevent.socket

BACKLOG = 512
HANGING_S = 600.0
LOOK_S = 0.1


def listen(address: tuple[str, int]) -> gevent.socket.socket:
    """Listen at (host, port); port 0 lets the system choose. Raises OSError that names the address."""
    family = gevent.socket.AF_INET6 if ":" in address[0] else gevent.socket.AF_INET
    sock = gevent.socket.socket(family, gevent.socket.SOCK_STREAM)
    try:
        sock.setsockopt(gevent.socket.SOL_SOCKET, gevent.socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{address[0]}:{address[1]}: {error.strerror or error}") from error
    return sock


def address_of(sock: gevent.socket.socket) -> tuple[str, int]:
    """The real (host, port) of a listening socket."""
    host, port = sock.getsockname()[:2]
    return str(host), int(port)


def break_off(sock: Any) -> None:
    """Close a connection by a TCP reset, as a machine does that knows nothing of it."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Whoever reads it in another greenlet has a file on it, which keeps it open.
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def is_let_in(sock: Any, door: Callable[[], str]) -> bool:
    """Whether an accepted connection is to be served. One that hangs waits here until the door is another, or reset."""
    if door() == "hanging":
        with gevent.Timeout(HANGING_S, False):
            while door() == "hanging":
                gevent.sleep(LOOK_S)
    if door() == "served":
        return True
    break_off(sock)
    return False
