"""How it stands with a credential: what operators want to see of a provider, without a look into its insides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from workers.push.breaker import Breaker, State


@dataclass(frozen=True)
class Standing:
    """`breakers`: state -> how many; `why`: the reason of one that is not closed. `connections` that are open;
    `waiting`: requests that wait for a place in one; `token_age_s` of the provider token, None if there is none.
    """

    breakers: dict[str, int] = field(default_factory=dict)
    why: str = ""
    connections: int = 0
    waiting: int = 0
    token_age_s: float | None = None


@runtime_checkable
class HasStanding(Protocol):
    """A provider that can say more than its breaker."""

    def standing(self) -> Standing:
        """At this moment."""


def states_of(breakers: Iterable[Breaker]) -> dict[str, int]:
    """How many breakers are in which state."""
    return dict(Counter(breaker.state.value for breaker in breakers))


def standing_of(provider: object, breaker: Breaker) -> Standing:
    """What a provider says, or else what its breaker does."""
    if isinstance(provider, HasStanding):
        return provider.standing()
    return Standing(states_of([breaker]), "" if breaker.state is State.CLOSED else breaker.reason)
