"""The bodies that the control port takes, as types."""

from typing import Annotated, Literal

import msgspec

from workers.sandbox.devices import State

Environment = Literal["", "production", "sandbox"]


class DeviceForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """POST /control/{provider}/devices/{token}. What is left out of `online` and `dozing` stays as it is."""

    environment: Environment = ""
    topics: list[str] = []
    state: State = "registered"
    changed_at: Annotated[int, msgspec.Meta(ge=0)] | None = None
    online: bool | None = None
    dozing: bool | None = None

    def is_about_reach(self) -> bool:
        """Whether only reachability is given: the registration stays as it is."""
        plain = DeviceForm(online=self.online, dozing=self.dozing)
        return self == plain and (self.online is not None or self.dozing is not None)


class KeyForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """POST /control/apns/keys."""

    team_id: str
    key_id: str
    pem: str
    environment: Environment = ""
    topics: list[str] = []


class ClockForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """POST /control/clock. Without `stopped` the time goes on, or stands still, as before."""

    advance_s: float = 0.0
    stopped: bool | None = None


class SeedForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """POST /control/seed."""

    seed: int
