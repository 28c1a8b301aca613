"""What comes back for a request to a provider, over whichever HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Reply:
    """A complete answer. Header names are lower case; a body may be empty."""

    status: int
    headers: dict[str, str]
    body: bytes


class Processed(Enum):
    """Did the peer act upon a request that has no answer?"""

    NO = "no"
    MAYBE = "maybe"


@dataclass(frozen=True)
class Unanswered:
    """No answer came. `processed` says whether sending it once more could do a thing twice."""

    reason: str
    processed: Processed


Result = Reply | Unanswered
