"""Connecting to Redis: an address becomes a socket that is authenticated and has its database chosen.

The hot path and the notices speak to Redis through hiredis on sockets of their own. redis-py would do the same, at
ten times the cost per command and a quarter of a second of imports in every process that starts.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import hiredis

from gateway.mailbox.errors import StoreMisconfigured, StoreUnavailable
from gateway.settings import ConfigError
from gateway.telemetry import get_logger

log = get_logger(__name__)

Part = bytes | str | int
"""one argument of a command"""

_MISCONFIGURED: Final = (
    "WRONGPASS",
    "NOAUTH",
    "NOPERM",
    "DENIED",
    "ERR AUTH",
    "ERR Client sent AUTH",
    "ERR invalid password",
    "ERR invalid DB",
    "ERR DB index",
    "ERR SELECT is not allowed",
    "ERR unknown command",
)
"""what Redis says to a client that was told wrongly how to speak to it: no patience will change that"""

_PASSING_TLS: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""the other side went away in the middle of a handshake, as a server does that is just being started or stopped"""


@dataclass(frozen=True, slots=True)
class Tls:
    """How TLS is spoken: file names, "" for the system's certificate authorities and for no client certificate.

    `verifies_name`: the certificate has to name the host that was asked for; otherwise it only has to come from one of
    the authorities.
    """

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    verifies_name: bool = True

    def context(self) -> ssl.SSLContext:
        """Raises ConfigError, which names the setting, for a file that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"redis.tls_ca_file: {self.ca_file}: {_reason(error, '')}") from error
        context.check_hostname = self.verifies_name
        if self.certificate_file:
            try:
                context.load_cert_chain(self.certificate_file, self.key_file or None, password=_no_password)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(
                    f"redis.tls_certificate_file: {self.certificate_file}: {_reason(error, 'tls_key_file')}"
                ) from error
        return context


def _no_password() -> str:
    """A key that is encrypted is not asked for at a terminal that nobody sits at."""
    return ""


def _reason(error: OSError, other: str) -> str:
    """What is wrong with a file, or with `other` that belongs to it."""
    if isinstance(error, FileNotFoundError):
        return f"there is no such file{f', or none of {other}' if other else ''}"
    if isinstance(error, ssl.SSLError):
        return f"not a PEM file{f', or not with this {other}' if other else ''} ({error.reason or 'no certificate'})"
    return str(error.strerror or error)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis listens: a unix socket's `path`, or `host` and `port`; and how one gets in."""

    path: str = ""
    host: str = "localhost"
    port: int = 6379
    tls: Tls | None = None
    username: str = "default"
    password: str = field(default="", repr=False)
    db: int = 0

    def __str__(self) -> str:
        return self.path or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")

    def locate(self, _timeout_s: float) -> Address:
        """See `Source`: it is always here."""
        return self

    def dial(self, timeout_s: float) -> socket.socket:
        """See `Source`."""
        return dial(self, timeout_s)


class Source(Protocol):
    """Where connections to the Redis that may be written to come from. It may be another one each time."""

    def locate(self, timeout_s: float) -> Address:
        """The address of the server that is master now. Raises OSError, StoreUnavailable."""

    def dial(self, timeout_s: float) -> socket.socket:
        """A connection to it, ready for commands, that keeps `timeout_s`. Raises OSError, StoreUnavailable;
        StoreMisconfigured if trying again will not help.
        """


def shut(connection: socket.socket) -> None:
    """End a connection that another greenlet reads from: it reads the end; closing it is theirs."""
    try:
        if isinstance(connection, ssl.SSLSocket):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not the polite end of TLS, which waits
        else:
            connection.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        log.debug("redis_was_closed_already", error=str(error))


def packed(command: tuple[Part, ...]) -> bytes:
    """A command as Redis reads it."""
    return bytes(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub knows one-element tuples only


def dial(address: Address, timeout_s: float, *, connect_s: float | None = None) -> socket.socket:
    """Connect, authenticate, choose the database. The socket keeps `timeout_s`; `connect_s` bounds all this.

    Raises OSError, StoreUnavailable; StoreMisconfigured if trying again will not help.
    """
    connection = _connect(address, connect_s or timeout_s)
    try:
        if address.password:
            ask(connection, "AUTH", address.username, address.password)
        elif address.tls:
            ask(connection, "PING")
        if address.db:
            ask(connection, "SELECT", address.db)
        connection.settimeout(timeout_s)
    except ssl.SSLError as error:  # TLS 1.3 tells only now that it wanted a client's certificate
        connection.close()
        raise _tls_fault(address, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def ask(connection: socket.socket, *command: Part) -> Any:
    """One command and its reply, while nothing else is on its way. Raises OSError, StoreUnavailable."""
    return ask_all(connection, [command])[0]


def ask_all(connection: socket.socket, commands: Sequence[tuple[Part, ...]]) -> list[Any]:
    """Several commands at once, and their replies. Raises OSError, StoreUnavailable at the first that is refused."""
    replies = replies_to(connection, commands)
    for command, reply in zip(commands, replies, strict=True):
        if isinstance(reply, hiredis.ReplyError):
            kind = StoreMisconfigured if str(reply).startswith(_MISCONFIGURED) else StoreUnavailable
            raise kind(f"Redis refused {command[0]!s}: {reply}")
    return replies


def replies_to(connection: socket.socket, commands: Sequence[tuple[Part, ...]]) -> list[Any]:
    """As `ask_all`; what is refused is a ReplyError among the replies. Raises OSError, StoreUnavailable."""
    connection.sendall(b"".join(packed(command) for command in commands))
    reader = hiredis.Reader()
    found: list[Any] = []
    while len(found) < len(commands):
        reply = reader.gets()
        if reply is False:
            data = connection.recv(65536)
            if not data:
                last = f", saying {found[-1]}" if found and isinstance(found[-1], hiredis.ReplyError) else ""
                raise StoreUnavailable(f"Redis closed the connection{last}")
            reader.feed(data)
        else:
            found.append(reply)
    return found


def _connect(address: Address, timeout_s: float) -> socket.socket:
    if address.path:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_s)
        try:
            connection.connect(address.path)
        except BaseException:
            connection.close()
            raise
        return connection
    context = address.tls.context() if address.tls else None
    connection = socket.create_connection((address.host, address.port), timeout=timeout_s)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if context is not None:
            return context.wrap_socket(connection, server_hostname=address.host)
    except ssl.SSLError as error:
        connection.close()
        raise _tls_fault(address, error) from error
    except TimeoutError as error:
        connection.close()
        raise StoreUnavailable(f"{address} did not answer in the TLS handshake: is it one that speaks TLS?") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _tls_fault(address: Address, error: ssl.SSLError) -> Exception:
    if isinstance(error, _PASSING_TLS):
        return StoreUnavailable(f"Redis at {address} went away in the TLS handshake")
    if isinstance(error, ssl.SSLCertVerificationError):
        return StoreMisconfigured(f"the certificate of Redis at {address} was not accepted: {error.verify_message}")
    return StoreMisconfigured(f"no TLS with Redis at {address}: {error.reason or error}")
