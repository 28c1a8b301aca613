"""Who an app is to push services, and how far it may reach."""

from __future__ import annotations

from dataclasses import dataclass, field

from workers.push.settings import AppSettings


@dataclass(frozen=True)
class Identity:
    """What push services know us by (VAPID, RFC 8292), and what we trust. Connections and breakers belong to one of
    these.
    """

    key_file: str = field(repr=False)
    subject: str
    ca_file: str = ""
    allow_private: bool = False

    @classmethod
    def of(cls, app: AppSettings) -> Identity:
        """What an app's settings name."""
        return cls(app.vapid_key_file, app.vapid_subject, app.ca_file, app.allow_private)
