"""A listening socket that is closed again if it cannot be bound, which gevent's servers leave to chance."""

import gevent.socket

BACKLOG = 512


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
