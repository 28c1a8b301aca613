"""Cuts a byte stream into HTTP/2 frames (RFC 9113, section 4.1), for what has to be seen before jh2 sees it.

jh2, as h2, regards a connection as closed when GOAWAY arrives: it answers frames of streams that the peer still serves
with a protocol error, and forgets what came before in the same bytes. RFC 9113, section 6.8, says the opposite: streams
up to `last_stream_id` run to their end. So GOAWAY frames are taken out here and read by us.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HEADER: Final = 9
GOAWAY: Final = 7
LARGEST: Final = 16_384
"""SETTINGS_MAX_FRAME_SIZE as we leave it: a peer may not send longer ones."""

_GOAWAY_FIXED: Final = struct.Struct(">II")


class FrameError(Exception):
    """The peer sent what no HTTP/2 peer may send."""


@dataclass(frozen=True)
class Goaway:
    """RFC 9113, section 6.8. Streams above `last_stream_id` were not looked at."""

    last_stream_id: int
    error_code: int
    debug: bytes


class FrameCutter:
    """Feed bytes, get whole frames: `bytes` for jh2, `Goaway` for us. Holds no more than one frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes | Goaway]:
        """The frames that these bytes complete. Raises FrameError for a frame beyond the agreed size."""
        self._buffer += data
        while len(self._buffer) >= HEADER:
            length = int.from_bytes(self._buffer[:3], "big")
            if length > LARGEST:
                raise FrameError(f"frame of {length} bytes, at most {LARGEST} are allowed")
            end = HEADER + length
            if len(self._buffer) < end:
                return
            frame = bytes(self._buffer[:end])
            del self._buffer[:end]
            yield _goaway(frame) if frame[3] == GOAWAY else frame


def _goaway(frame: bytes) -> Goaway:
    if len(frame) < HEADER + _GOAWAY_FIXED.size:
        raise FrameError("GOAWAY is too short")
    last, code = _GOAWAY_FIXED.unpack_from(frame, HEADER)
    return Goaway(last & 0x7FFF_FFFF, code, frame[HEADER + _GOAWAY_FIXED.size :])
