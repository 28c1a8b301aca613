"""What follows from an answer of a provider: the rows of the tables in `providers/*/answers.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from workers.push.outcome import Outcome

_NAME: Final = re.compile(r"[A-Za-z_.]{1,60}")


def named(reason: str, status: int) -> str:
    """What an answer is called for which no row is there: by its reason if that is a name as providers give them, else
    by its status. Other text may be anything, such as the device's token.
    """
    return reason if _NAME.fullmatch(reason) else f"status {status}"


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
