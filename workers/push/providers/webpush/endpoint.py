"""A subscription's URL (RFC 8030, section 5: the push resource), read with suspicion: it is the user who gave it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from gateway.errors import WakegateError
from gateway.telemetry import redact

LENGTH_LIMIT: Final = 2048

FIRST_FREE_PORT: Final = 1024
"""Below it, and beside 443, lies what is not HTTPS but would take our bytes for its own protocol: mail, for one."""

PORTS: Final = {"https": 443, "http": 80}

LARGE_SERVICES: Final = ("googleapis.com", "mozilla.com", "push.apple.com", "notify.windows.com", "ntfy.sh")
"""So many people use them that their name tells nothing about one."""

_GRAPHIC: Final = re.compile(r"[!-~]+")
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,62})"
_NAME: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")


class EndpointError(WakegateError):
    """An endpoint that is not asked. The text is one of a few fixed words: neither the URL nor its host is in it.

    `malformed`: it is no URL at all, and never will be one; else it is one that we may not reach.
    """

    metric = "webpush_endpoint"

    def __init__(self, reason: str, *, malformed: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.malformed = malformed


@dataclass(frozen=True)
class Endpoint:
    """Where one subscription's pushes go. `origin` is as RFC 6454 serialises it, `target` path and query."""

    origin: str = field(repr=False)
    host: str = field(repr=False)
    port: int
    target: str = field(repr=False)

    @classmethod
    def of(cls, url: str, *, allow_private: bool) -> Endpoint:
        """Read a URL. `allow_private`: http and any port, too. Raises EndpointError."""
        if len(url) > LENGTH_LIMIT or not _GRAPHIC.fullmatch(url):
            raise EndpointError("endpoint malformed", malformed=True)
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise EndpointError("endpoint malformed", malformed=True) from None
        if parts.scheme not in PORTS or not _is_host(host) or "@" in parts.netloc or parts.fragment:
            raise EndpointError("endpoint malformed", malformed=True)
        if parts.scheme != "https" and not allow_private:
            raise EndpointError("endpoint not https")
        usual = PORTS[parts.scheme]
        if not allow_private and port not in (None, usual) and (port or 0) < FIRST_FREE_PORT:
            raise EndpointError("endpoint port not allowed")
        name = f"[{host}]" if ":" in host else host
        origin = f"{parts.scheme}://{name}" if port in (None, usual) else f"{parts.scheme}://{name}:{port}"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(origin, host, usual if port is None else port, target)

    @property
    def label(self) -> str:
        """For logs: the host of a large push service; a hash of one that may be somebody's own."""
        known = any(self.host == name or self.host.endswith(f".{name}") for name in LARGE_SERVICES)
        return self.host if known else redact(self.host)


def _is_host(text: str) -> bool:
    """A name as TLS and DNS take it (international ones in their ASCII form), or an address; without a zone, as that
    names one of our interfaces.
    """
    if ":" not in text:
        return bool(_NAME.fullmatch(text))
    try:
        return ipaddress.IPv6Address(text).scope_id is None
    except ValueError:
        return False
