"""What is fuzzed: a function that takes any bytes and must neither raise, nor hang, nor fill the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CORPORA: Final = Path(__file__).parent / "corpora"

MOST_BYTES: Final = 4096
"""of an input, unless a target says otherwise: for faults of size there is `tests/hostile/test_floods.py`"""

MOST_S: Final = 5.0
"""that one input may take, on a busy machine"""

Feed = Callable[[bytes], None]


@dataclass(frozen=True)
class Target:
    """`begin` gives what takes an input, for as long as its context is open. `seeds` are where a first run starts;
    `words` are what a mutation may put in.
    """

    name: str
    begin: Callable[[], AbstractContextManager[Feed]]
    seeds: Callable[[], Iterable[bytes]]
    words: Callable[[], Iterable[bytes]] = tuple
    most_bytes: int = MOST_BYTES

    @property
    def corpus(self) -> Path:
        """Where its inputs are kept."""
        return CORPORA / self.name

    def kept(self) -> list[Path]:
        """The inputs that are kept, the smallest first."""
        return sorted(self.corpus.glob("*"), key=lambda file: (file.stat().st_size, file.name))


def plain(feed: Feed) -> Callable[[], AbstractContextManager[Feed]]:
    """`begin` of a target that needs nothing around it."""

    @contextmanager
    def begin() -> Iterator[Feed]:
        yield feed

    return begin
