"""XEP-0215: External Service Discovery, version 1.0. STUN and TURN servers from the configuration, with configured
passwords or with ones that are made for each client and expire.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.hooks import Feature, Query, Xep
from gateway.settings import Secret, setting, tables
from gateway.xmpp import ns
from gateway.xmpp.delay import stamp
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.payload import several
from gateway.xmpp.start_tag import write_attributes


@dataclass(frozen=True)
class ServiceSettings:
    """One service. With `secret`, each client gets a name and a password of its own for `lifetime` seconds (the "TURN
    REST API": coturn's static-auth-secret); with `username` and `password`, all get those.
    """

    host: str = setting("", help="Its domain or IP address; must be given.")
    type: str = setting("stun", help="stun, stuns, turn, turns, or another of XEP-0215's registry.")
    port: int = setting(0, least=0, most=65535, help="0 = not told: clients take the type's usual one.")
    transport: str = setting("", choices=("", "udp", "tcp"), help='"" = not told.')
    name: str = setting("", help="For people to read.")
    username: str = setting("", help="The same for all clients.")
    password: Secret = setting(Secret(), secret=True, help='The same for all clients, or "file:PATH".')
    secret: Secret = setting(Secret(), secret=True, help='Shared with the TURN server, or "file:PATH".')
    lifetime: int = setting(86400, unit="s", least=60, most=2592000, help="Of what is made with `secret`.")

    def faults(self) -> Iterator[str]:
        """A host and a type are needed; one kind of credentials is enough."""
        if not self.host or any(c <= " " for c in self.host):
            yield f'host: "{self.host}" is no domain or IP address'
        if not self.type or not all(c.isalnum() or c in "-_." for c in self.type):
            yield f'type: "{self.type}" is no name of a service, e.g. "turn"'
        if self.secret and (self.username or self.password):
            yield "secret: makes the credentials; leave username and password out"
        elif bool(self.username) != bool(self.password):
            yield "username: goes with a password, and the other way round"

    @property
    def has_credentials(self) -> bool:
        """Whether clients have to log in."""
        return bool(self.secret or self.username)


@dataclass(frozen=True)
class ExternalServicesSettings:
    """[external_services] Servers for calls and the like that clients are told of (XEP-0215)."""

    services: Mapping[str, ServiceSettings] = tables(ServiceSettings)


def credentials(service: ServiceSettings, *, user: str, now: float) -> dict[str, str]:
    """Username and password of a service for one client, and when they expire; empty if it wants none.

    With a shared secret: the name is the time of expiry (seconds since 1970) and the user, the password its HMAC-SHA1
    in base64, as TURN servers check it without having been told.
    """
    if service.secret:
        expires = int(now) + service.lifetime
        username = f"{expires}:{user}"
        digest = hmac.new(service.secret.value().encode(), username.encode(), hashlib.sha1).digest()
        password = base64.b64encode(digest).decode()
        return {"username": username, "password": password, "expires": stamp(expires * 1000)}
    return {"username": service.username, "password": service.password.value()} if service.username else {}


def _write(service: ServiceSettings, user: str) -> bytes:
    attributes = {
        "type": service.type,
        "host": service.host,
        "port": str(service.port) if service.port else None,
        "transport": service.transport or None,
        "name": service.name or None,
        "restricted": "true" if service.has_credentials else None,
        **credentials(service, user=user, now=time.time()),
    }
    return b"<service%b/>" % write_attributes(attributes)


def _configured(query: Query) -> list[ServiceSettings]:
    if query.to.local:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
    return list(query.services.settings.of(ExternalServicesSettings).services.values())


def _payload(query: Query, name: str) -> Any:
    return next(iter(query.iq.payload().values()))[f"{ns.EXTERNAL_SERVICES}|{name}"]


def services(query: Query) -> None:
    """XEP-0215 sections 3.1 and 3.2: all of them, or those of one type. Whoever is logged in gets the credentials."""
    configured = _configured(query)
    payload = _payload(query, "services")
    wanted = payload.get("@type", "") if isinstance(payload, dict) else ""
    found = [service for service in configured if wanted in ("", service.type)]
    start = write_attributes({"xmlns": ns.EXTERNAL_SERVICES, "type": wanted or None})
    listed = b"".join(_write(service, query.asker.local) for service in found)
    query.reply(b"<services%b>%b</services>" % (start, listed))


def credentials_of(query: Query) -> None:
    """XEP-0215 section 3.3: what is needed at the services that the client names by host and type."""
    configured = _configured(query)
    asked = several(_payload(query, "credentials"), f"{ns.EXTERNAL_SERVICES}|service")
    if len(asked) != 1 or not isinstance(asked[0], dict) or not asked[0].get("@host") or not asked[0].get("@type"):
        raise StanzaError(StanzaCondition.BAD_REQUEST, "one service with the attributes host and type is needed")
    host, type_, port = (asked[0].get(f"@{name}", "") for name in ("host", "type", "port"))
    found = [
        service
        for service in configured
        if (service.host, service.type) == (host, type_) and port in ("", str(service.port)) and service.has_credentials
    ]
    if not found:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "no such service that needs credentials")
    listed = b"".join(_write(service, query.asker.local) for service in found)
    query.reply(b"<credentials xmlns='%b'>%b</credentials>" % (ns.EXTERNAL_SERVICES.encode(), listed))


FEATURE = Feature(
    name="external-services",
    xep=Xep(215, "1.0.0"),
    disco=(ns.EXTERNAL_SERVICES,),
    iq_get={
        (ns.EXTERNAL_SERVICES, "services"): services,
        (ns.EXTERNAL_SERVICES, "credentials"): credentials_of,
    },
)
