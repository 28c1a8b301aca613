"""What a run is to be: the options of `scripts/chaos run`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from scripts.chaos_lab.tree import ROOT

VICTIMS: Final = {"gateway": 10, "push": 3, "sweeper": 3, "archiver": 1, "redis": 2}
"""who is struck, by weight"""

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
    victims: tuple[str, ...] = tuple(VICTIMS)
    """which kinds of processes are struck"""
    pauses: int = 2
    """to ten kills and two SIGTERMs, about so many pauses"""
    clocks: int = 0
    """to as many, about so many times somebody's clock jumps"""
    unpaused: bool = False
    """No SIGSTOP: on a machine that is shared by others, or slow."""
    bug: str = ""
    """One of tree.BUGS, to see whether it is found."""
    source: Path = ROOT
    """Where the code is that is copied and run."""

    @property
    def seconds(self) -> float:
        """For so long people talk."""
        return 60.0 * self.minutes

    @property
    def command(self) -> str:
        """What repeats the run."""
        names = ("redis", "appendfsync", "gateways", "push", "sweepers", "archivers", "accounts", "messages", "kills")
        words = ["plant", self.bug] if self.bug else ["run"]
        words += [word for name in names for word in (f"--{name}", str(getattr(self, name)))]
        words += ["--wait-replicas", str(self.wait_replicas)] if self.redis != "single" else []
        words += ["--victims", *self.victims] if self.victims != tuple(VICTIMS) else []
        words += ["--pauses", str(self.pauses)] if self.pauses != Plan.pauses else []
        words += ["--clocks", str(self.clocks)] if self.clocks else []
        words += ["--unpaused"] if self.unpaused else []
        return " ".join(["scripts/chaos", *words, "--minutes", f"{self.minutes:g}", "--seed", str(self.seed)])
