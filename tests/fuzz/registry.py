"""All targets by name."""

from __future__ import annotations

from typing import Final

from tests.fuzz import peers, protocol, services, sessions
from tests.fuzz.target import Target

TARGETS: Final[dict[str, Target]] = {
    target.name: target for target in (*protocol.TARGETS, *sessions.TARGETS, *services.TARGETS, *peers.TARGETS)
}
