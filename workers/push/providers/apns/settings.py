"""Apple's addresses and numbers, and which credential and origins an app uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from workers.push.http2.origin import Origin
from workers.push.settings import AppSettings

PRODUCTION: Final = "production"
SANDBOX: Final = "sandbox"
AUTO: Final = "auto"

VENDOR: Final = {PRODUCTION: "https://api.push.apple.com", SANDBOX: "https://api.sandbox.push.apple.com"}

OTHER: Final = {PRODUCTION: SANDBOX, SANDBOX: PRODUCTION}


@dataclass(frozen=True)
class Identity:
    """What Apple knows us by: a key of a team, or a certificate. Pools, token and breaker belong to one of these."""

    team_id: str = ""
    key_id: str = ""
    key_file: str = field(default="", repr=False)
    certificate_file: str = field(default="", repr=False)

    @classmethod
    def of(cls, app: AppSettings) -> Identity:
        """The credential that an app's settings name; a certificate leaves the key's fields empty."""
        if app.certificate_file:
            return cls(certificate_file=app.certificate_file)
        return cls(app.team_id, app.key_id, app.key_file)

    @property
    def name(self) -> str:
        """For logs and metrics."""
        return f"{self.team_id}/{self.key_id}" if self.key_id else "certificate"


def origin_of(app: AppSettings, environment: str) -> Origin:
    """Where an app's pushes for devices of this environment go. Raises ValueError if the settings hold no usable
    address.
    """
    override = app.endpoint
    if environment == SANDBOX and app.sandbox_endpoint:
        override = app.sandbox_endpoint
    return Origin.of(override or VENDOR[environment], ca_file=app.ca_file, certificate_file=app.certificate_file)
