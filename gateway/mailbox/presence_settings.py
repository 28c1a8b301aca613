"""[presence]: what an operator sets about presence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.settings import setting


@dataclass(frozen=True)
class PresenceSettings:
    """[presence] RFC 6121 section 4: who is seen as available."""

    hibernation_available_time: int = setting(
        300,
        unit="s",
        least=0,
        most=2592000,
        help="How long others see a session as available after its link was lost; it may be resumed for longer.",
    )
    hibernation_presence: Literal["away", "unavailable"] = setting(
        "away", choices=("away", "unavailable"), help="What others see after that, until it is resumed."
    )
