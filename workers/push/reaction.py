"""What follows from an answer of a provider: the rows of the tables in `providers/*/answers.py`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from workers.push.outcome import Outcome


class Action(Enum):
    """What to do before the push is sent again at once, or not at all."""

    NONE = "none"
    OTHER_ENVIRONMENT = "other-environment"  # send once more there, if the device's environment is not known
    NEW_TOKEN = "new-token"  # noqa: S105 - not a secret; make or fetch our own token, send once more
    PREVIOUS_TOKEN = "previous-token"  # noqa: S105 - not a secret; back to the token before, send once more
    RECONNECT = "reconnect"  # use a new connection, send once more
    RECONNECT_ONLY = "reconnect-only"  # use a new connection for what comes next
    SHRINK = "shrink"  # send once more with the smallest payload


class Health(Enum):
    """What an answer says about the credential, for its breaker."""

    WELL = "well"
    SERVER_FAULT = "server-fault"
    CREDENTIAL_FAULT = "credential-fault"


@dataclass(frozen=True)
class Reaction:
    """`outcome` is what the push comes to if `action` does not lead to another answer."""

    outcome: Outcome
    action: Action = Action.NONE
    health: Health = Health.WELL
