"""Google's address, and which credential an app uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workers.push.settings import AppSettings

VENDOR: Final = "https://fcm.googleapis.com"
LONGEST_TTL_S: Final = 2_419_200


@dataclass(frozen=True)
class Identity:
    """A service account at an address. Access token, connections and breaker belong to one of these."""

    service_account_file: str
    endpoint: str
    ca_file: str

    @classmethod
    def of(cls, app: AppSettings) -> Identity:
        """What an app's settings name."""
        return cls(app.service_account_file, app.endpoint or VENDOR, app.ca_file)
