"""What a run is to be: the options of `scripts/chaos run`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Redis = Literal["single", "sentinel", "cluster"]


@dataclass(frozen=True)
class Plan:
    """Everything that a run depends on. The seed repeats what is done and when, not how the machine answers."""

    directory: Path
    redis: Redis = "single"
    appendfsync: str = "always"
    gateways: int = 4
    push: int = 2
    sweepers: int = 2
    archivers: int = 1
    accounts: int = 500
    messages: int = 100_000
    kills: int = 100
    minutes: float = 5.0
    seed: int = 7
    push_grace_s: float = 1.0
    settle_s: float = 90.0
    wait_replicas: int = 1
    """of Sentinel and a cluster: so many replicas have what is acknowledged"""
    unpaused: bool = False
    """No SIGSTOP: on a machine that is shared by others, or slow."""
    overlay: Path | None = None
    """A tree whose `gateway` and `workers` run in place of ours (plant.py)."""

    @property
    def seconds(self) -> float:
        """For so long people talk."""
        return 60.0 * self.minutes

    @property
    def command(self) -> str:
        """What repeats the run."""
        words = [
            *("scripts/chaos", "run", "--redis", self.redis, "--gateways", self.gateways, "--push", self.push),
            *("--sweepers", self.sweepers, "--archivers", self.archivers, "--accounts", self.accounts),
            *("--messages", self.messages, "--kills", self.kills, "--minutes", f"{self.minutes:g}"),
            *("--appendfsync", self.appendfsync, "--seed", self.seed),
            *(["--wait-replicas", self.wait_replicas] if self.redis != "single" else []),
            *(["--unpaused"] if self.unpaused else []),
        ]
        return " ".join(map(str, words))
