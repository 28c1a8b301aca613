"""The forms of `[redis] url`: one server, the sentinels that know one, or nodes of a cluster.

    redis://[USER:PASSWORD@]HOST[:PORT][/DB]                rediss:// is the same with TLS
    unix://[USER:PASSWORD@]/PATH[?db=DB]
    redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],…/SERVICE[/DB]
    redis+cluster://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],…

rediss+sentinel:// and rediss+cluster:// speak TLS, as does ?tls=true behind each of them. User and password are those
of Redis; the sentinels have their own, in settings.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote

from gateway.mailbox.dial import Address, Source, Tls
from gateway.mailbox.sentinel import SentinelSource
from gateway.settings import ConfigError

Kind = Literal["one", "sentinel", "cluster"]

_KINDS: Final[dict[str, Kind]] = {
    "redis": "one",
    "rediss": "one",
    "unix": "one",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}

_FORMS: Final = (
    "redis://HOST:PORT, unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE or "
    "redis+cluster://HOST:PORT,HOST:PORT (rediss for TLS)"
)

_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}

_PORTS: Final[dict[Kind, int]] = {"one": 6379, "sentinel": 26379, "cluster": 6379}


@dataclass(frozen=True, slots=True)
class Access:
    """What the settings say of getting in, beside the address. Users and passwords are "" where there is none."""

    username: str = ""
    password: str = field(default="", repr=False)
    sentinel_username: str = ""
    sentinel_password: str = field(default="", repr=False)
    tls: Tls = field(default_factory=Tls)


@dataclass(frozen=True, slots=True)
class Servers:
    """What an address names.

    `addresses`: the one server; or the sentinels, with what they ask of their own clients; or some of a cluster's
    nodes. `service`: the sentinels' name for the servers that they watch. `server`: how one gets in to a server whose
    host and port are found out.
    """

    kind: Kind
    addresses: tuple[Address, ...]
    server: Address
    service: str = ""

    def source(self) -> Source:
        """Where connections to the master come from. Raises ConfigError for a cluster, which has several."""
        if self.kind == "cluster":
            raise ConfigError("redis.url: one server or its sentinels are needed here, got a cluster")
        if self.kind == "sentinel":
            return SentinelSource(self.addresses, self.service, self.server)
        return self.addresses[0]


def source(of: str | Source) -> Source:
    """The source that an address names; a source is one already. Raises ConfigError."""
    return parse(of).source() if isinstance(of, str) else of


def parse(url: str, access: Access | None = None) -> Servers:
    """Read an address of `[redis]`. Raises ConfigError, without repeating a password."""
    access = access or Access()
    scheme, colon, rest = url.partition("://")
    kind = _KINDS.get(scheme)
    if kind is None or not colon:
        raise ConfigError(f'redis.url: "embedded", {_FORMS} is needed')
    rest, _, query = rest.partition("?")
    options = _options(query)
    authority, _, path = rest.partition("/")
    userinfo, _, hosts = authority.rpartition("@")
    server = _server(scheme, userinfo, options, access)
    if scheme == "unix":
        if hosts or not path:
            raise ConfigError("redis.url: unix:///PATH is needed, with three slashes")
        address = replace(server, path="/" + unquote(path), db=_db(options.get("db", "")))
        return Servers(kind, (address,), address)
    if kind == "one" and "," in hosts:
        raise ConfigError(f"redis.url: {scheme}:// names one host; {_FORMS} is needed")
    service, db = _behind(kind, path, options)
    server = replace(server, db=db)
    found = [_host_port(text, _PORTS[kind]) for text in (hosts.split(",") if kind != "one" else [hosts])]
    entry = server
    if kind == "sentinel":
        entry = replace(server, username=access.sentinel_username or "default", password=access.sentinel_password, db=0)
    return Servers(kind, tuple(replace(entry, host=host, port=port) for host, port in found), server, service)


def _server(scheme: str, userinfo: str, options: dict[str, str], access: Access) -> Address:
    username, _, password = userinfo.partition(":")
    username, password = unquote(username), unquote(password)
    if password and access.password:
        raise ConfigError("redis.password: url has a password as well")
    if username and access.username:
        raise ConfigError("redis.username: url has a user as well")
    is_tls = _TRUTHS.get(options.get("tls", "false").lower())
    if is_tls is None:
        raise ConfigError("redis.url: tls is true or false")
    if scheme == "unix" and is_tls:
        raise ConfigError("redis.url: there is no TLS on a unix socket")
    username, password = username or access.username, password or access.password
    if username and not password:
        raise ConfigError("redis.username: a password is needed as well, in redis.password")
    return Address(
        tls=access.tls if is_tls or scheme.startswith("rediss") else None,
        username=username or "default",
        password=password,
    )


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in ("db", "tls"):
            raise ConfigError(f'redis.url: unknown option "{name}"; there are db and tls')
    return options


def _behind(kind: Kind, path: str, options: dict[str, str]) -> tuple[str, int]:
    """The service and the database."""
    parts = [unquote(part) for part in path.split("/") if part]
    service = ""
    if kind == "sentinel":
        if not parts:
            raise ConfigError(
                "redis.url: the name of the service that the sentinels watch is needed: redis+sentinel://HOST:PORT/NAME"
            )
        service = parts.pop(0)
    if len(parts) > 1:
        raise ConfigError(f'redis.url: "{"/".join(parts)}" is no database, which is a number')
    db = _db(parts[0] if parts else options.get("db", ""))
    if kind == "cluster" and db:
        raise ConfigError("redis.url: a cluster has only database 0")
    return service, db


def _db(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit():
        raise ConfigError(f'redis.url: "{text}" is no database, which is a number')
    return int(text)


def _host_port(text: str, usual: int) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not host or (rest and not rest.startswith(":")):
            raise ConfigError('redis.url: an IPv6 address stands in brackets, e.g. "[::1]:6379"')
        port = rest[1:]
    else:
        host, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        raise ConfigError(f'redis.url: "{port}" is no port, 1 to 65535')
    if not host:
        raise ConfigError(f"redis.url: a host is missing; {_FORMS} is needed")
    return host, int(port) if port else usual
