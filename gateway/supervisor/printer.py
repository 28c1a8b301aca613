"""The output of several processes on one terminal: each line behind the name of who wrote it."""

from __future__ import annotations

import sys
from typing import BinaryIO, Final

_COLOURS: Final = (36, 33, 32, 35, 34, 96, 93, 92)
_LONGEST_LINE: Final = 16384


class Printer:
    """Writes whole lines `name | text`, so that two processes never share one."""

    def __init__(self, stream: BinaryIO | None = None, *, width: int = 10) -> None:
        self._stream: BinaryIO | None = stream or sys.stdout.buffer
        self._is_terminal = self._stream.isatty()
        self._width = width
        self._colours: dict[str, int] = {}

    def line(self, name: str, text: bytes | str) -> None:
        """One line of process `name`. Once the reader is gone, lines are dropped: nobody must die of it."""
        if self._stream is None:
            return
        raw = text.encode() if isinstance(text, str) else text
        try:
            self._stream.write(self._prefix(name) + raw + b"\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None

    def _prefix(self, name: str) -> bytes:
        self._width = max(self._width, len(name))
        prefix = f"{name:<{self._width}} | "
        if self._is_terminal:
            colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        return prefix.encode()


class LineSplitter:
    """Cuts a child's output into lines; a line without an end is cut at 16 KiB."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their ends."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        return [line.rstrip(b"\r") for line in lines]

    def end(self) -> list[bytes]:
        """What stood behind the last line end."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []
