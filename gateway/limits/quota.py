"""What accounts may keep on the server is bounded where it is kept; here is counted who runs into it."""

from __future__ import annotations

from typing import Final

from gateway.limits.hits import Limit, Outcome, process_hits
from gateway.xmpp.errors import StanzaCondition, StanzaError

CONDITIONS: Final = frozenset({StanzaCondition.RESOURCE_CONSTRAINT, StanzaCondition.POLICY_VIOLATION})
"""what somebody is told who asks for too much, or has too much"""


def counted(error: StanzaError) -> StanzaError:
    """The error, which a client is about to be told."""
    if error.condition in CONDITIONS:
        process_hits().count(Limit.QUOTA, Outcome.REFUSED)
    return error
