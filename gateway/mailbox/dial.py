"""Connecting to Redis: an address becomes a socket that is authenticated and has its database chosen.

The hot path and the notices speak to Redis through hiredis on sockets of their own. redis-py would do the same, at
ten times the cost per command and a quarter of a second of imports in every process that starts.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from gateway.mailbox.errors import StoreUnavailable
from gateway.settings import ConfigError

Part = bytes | str | int
"""one argument of a command"""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis listens: a unix socket's `path`, or `host` and `port`."""

    path: str = ""
    host: str = "localhost"
    port: int = 6379
    is_tls: bool = False
    username: str = "default"
    password: str = field(default="", repr=False)
    db: int = 0

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read redis://, rediss:// or unix://. Raises ConfigError, without repeating a password."""
        try:
            parts = urlsplit(url)
            options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            is_unix = parts.scheme == "unix"
            if parts.scheme not in ("redis", "rediss", "unix") or (is_unix and not parts.path):
                raise ConfigError("redis.url: redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH is needed")
            return cls(
                path=unquote(parts.path) if is_unix else "",
                host=parts.hostname or "localhost",
                port=parts.port or 6379,
                is_tls=parts.scheme == "rediss",
                username=unquote(parts.username or "") or "default",
                password=unquote(parts.password or ""),
                db=int(options.get("db") or ("0" if is_unix else parts.path.strip("/") or "0")),
            )
        except ValueError as error:
            raise ConfigError("redis.url: port and database are numbers") from error


def packed(command: tuple[Part, ...]) -> bytes:
    """A command as Redis reads it."""
    return bytes(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub knows one-element tuples only


def dial(address: Address, timeout_s: float) -> socket.socket:
    """Connect, authenticate, choose the database. Raises OSError, StoreUnavailable. The socket keeps `timeout_s`."""
    connection = _connect(address, timeout_s)
    try:
        if address.password:
            ask(connection, "AUTH", address.username, address.password)
        if address.db:
            ask(connection, "SELECT", address.db)
    except BaseException:
        connection.close()
        raise
    return connection


def ask(connection: socket.socket, *command: Part) -> object:
    """One command and its reply, while nothing else is on its way. Raises OSError, StoreUnavailable."""
    connection.sendall(packed(command))
    reader = hiredis.Reader()
    while (reply := reader.gets()) is False:
        data = connection.recv(65536)
        if not data:
            raise StoreUnavailable("Redis closed the connection")
        reader.feed(data)
    if isinstance(reply, hiredis.ReplyError):
        raise StoreUnavailable(f"Redis refused {command[0]!s}: {reply}")
    return reply


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
    connection = socket.create_connection((address.host, address.port), timeout=timeout_s)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if address.is_tls:
            return ssl.create_default_context().wrap_socket(connection, server_hostname=address.host)
    except BaseException:
        connection.close()
        raise
    return connection
