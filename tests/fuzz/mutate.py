"""Changes to an input: bytes, pieces of other inputs, words that mean something, whole elements."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

_TAG: Final = re.compile(rb"<([A-Za-z:]{1,40})[ />]")


class Mutator:
    """`inputs` is the corpus as it grows."""

    def __init__(self, inputs: Sequence[bytes], words: Sequence[bytes], *, most_bytes: int, seed: int) -> None:
        self._inputs = inputs
        self._words = words or (b"\0",)
        self._most = most_bytes
        self._random = random.Random(seed)
        self._changes: tuple[Callable[[bytearray], None], ...] = (
            self._flip, self._delete, self._repeat, self._word, self._word, self._splice, self._element, self._number,
        )  # fmt: skip

    def next(self) -> bytes:
        """A known input, changed."""
        return self.change(self._random.choice(self._inputs))

    def change(self, known: bytes) -> bytes:
        """This input, changed in one to six places."""
        data = bytearray(known)
        for _ in range(self._random.choice((1, 1, 2, 2, 3, 6))):
            self._random.choice(self._changes)(data)
        return bytes(data[: self._most])

    def _at(self, data: bytearray) -> int:
        return self._random.randint(0, len(data))

    def _flip(self, data: bytearray) -> None:
        if data:
            at = self._random.randrange(len(data))
            data[at] = self._random.choice((data[at] ^ 1 << self._random.randrange(8), self._random.randrange(256)))

    def _delete(self, data: bytearray) -> None:
        at = self._at(data)
        del data[at : at + self._random.choice((1, 2, 4, 16, 64))]

    def _repeat(self, data: bytearray) -> None:
        at, size = self._at(data), self._random.choice((1, 3, 8, 40))
        data[at:at] = data[at : at + size] * self._random.choice((1, 2, 9))

    def _word(self, data: bytearray) -> None:
        at, word = self._at(data), self._random.choice(self._words)
        data[at : at + self._random.choice((0, 0, len(word), 1))] = word

    def _splice(self, data: bytearray) -> None:
        other = self._random.choice(self._inputs)
        begin = self._random.randint(0, len(other))
        at = self._at(data)
        data[at : at + self._random.choice((0, 8, 64))] = other[begin : begin + self._random.choice((4, 16, 64, 256))]

    def _element(self, data: bytearray) -> None:
        """One element in the place of another."""
        other = bytes(self._random.choice(self._inputs))
        mine, others = self._span(bytes(data)), self._span(other)
        if mine and others:
            data[mine[0] : mine[1]] = other[others[0] : others[1]]

    def _span(self, data: bytes) -> tuple[int, int] | None:
        """Where some element begins and ends, roughly."""
        tags = list(_TAG.finditer(data))
        if not tags:
            return None
        tag = self._random.choice(tags)
        close = b"</%b>" % tag[1]
        end = data.find(close, tag.end())
        return tag.start(), end + len(close) if end >= 0 else data.find(b">", tag.end() - 1) + 1 or len(data)

    def _number(self, data: bytearray) -> None:
        digits = list(re.finditer(rb"\d+", data))
        if digits:
            spot = self._random.choice(digits)
            data[spot.start() : spot.end()] = self._random.choice(
                (b"0", b"-1", b"4294967296", b"9" * 30, b"1e400", b"00")
            )
