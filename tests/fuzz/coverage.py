"""Which lines an input reaches, for the loop of our own and for choosing the inputs that are kept."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
OURS: Final = (str(ROOT / "gateway") + "/", str(ROOT / "workers") + "/")

Places = frozenset[tuple[int, int, int]]
"""(file, line, how often: 1, 2, 4, 8 … times)"""


class Tracer:
    """Counts lines of gateway and workers in the greenlet that calls."""

    def __init__(self) -> None:
        self._files: dict[CodeType, int] = {}
        self._hits: dict[tuple[int, int], int] = {}

    def places(self, feed: Callable[[bytes], None], data: bytes) -> Places:
        """Feed an input; answers where it went. Raises what `feed` raises."""
        self._hits = {}
        sys.settrace(self._on_call)
        try:
            feed(data)
        finally:
            sys.settrace(None)
        return frozenset((*place, min(count.bit_length(), 6)) for place, count in self._hits.items())

    def _on_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        file = self._files.get(code)
        if file is None:
            name = code.co_filename
            file = self._files[code] = zlib.crc32(name.encode()) if name.startswith(OURS) else 0
        return self._on_line if file else None

    def _on_line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            place = (self._files[frame.f_code], frame.f_lineno)
            self._hits[place] = self._hits.get(place, 0) + 1
        return self._on_line
