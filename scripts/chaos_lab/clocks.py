"""Wrong clocks: each process of the cluster has one of its own, which jumps while the process runs.

By libfaketime (Debian's package `faketime`), which reads from a file how wrong the clock is. Only the time of day
jumps, as it does when somebody sets it: what measures durations goes on evenly.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PLACES: Final = tuple(
    f"/usr/{folder}/faketime/libfaketime.so.1" for folder in ("lib/*-linux-*", "lib", "lib64", "local/lib")
)

MOST_S: Final = 60.0
"""no clock is wrong by more, either way"""

NOTICED_S: Final = 2
"""after so long a process sees that its clock has jumped"""


class NoFaketime(Exception):
    """libfaketime is not installed."""


def library() -> Path:
    """Where it is. Raises NoFaketime."""
    for place in PLACES:
        for found in Path("/").glob(place.lstrip("/")):
            return found
    raise NoFaketime("clocks cannot jump without libfaketime: apt install faketime")


class Clocks:
    """Raises NoFaketime if they `may_jump` and cannot; else they are right, and stay so."""

    def __init__(self, directory: Path, *, may_jump: bool) -> None:
        self._directory = directory
        self._library = library() if may_jump else None
        self._names: list[str] = []

    def environ(self, name: str) -> Mapping[str, str]:
        """What is added to the environment of a process, e.g. `gateway.1`, at each start: its clock stays wrong."""
        if self._library is None:
            return {}
        if name not in self._names:
            self._names.append(name)
            self._directory.mkdir(parents=True, exist_ok=True)
            self._set(name, 0.0)
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file(name)),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def of_server(self, port: int) -> Mapping[str, str]:
        """Likewise, for one of several Redis servers."""
        return self.environ(f"redis.{port}")

    def jump(self, kind: str, rng: random.Random) -> tuple[str, float]:
        """Set the clock of one of the processes of this kind wrong, or otherwise wrong. Answers whose, and by how many
        seconds; "" if there is none.
        """
        names = [name for name in self._names if name.partition(".")[0] == kind]
        if not names:
            return "", 0.0
        name, seconds = rng.choice(names), round(rng.uniform(-MOST_S, MOST_S), 1)
        self._set(name, seconds)
        return name, seconds

    def set_right(self) -> None:
        """All of them."""
        for name in self._names:
            self._set(name, 0.0)

    def _file(self, name: str) -> Path:
        return self._directory / name

    def _set(self, name: str, seconds: float) -> None:
        fresh = self._directory / f"{name}.new"
        fresh.write_text(f"{seconds:+.1f}\n")
        fresh.replace(self._file(name))
