"""HTTP/2 frames as they lie on the wire (RFC 9113, sections 4.1 and 6): cut from bytes, and made."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

HEADER: Final = 9
LARGEST: Final = 16_384
"""SETTINGS_MAX_FRAME_SIZE as we leave it: a peer may not send longer ones."""


class Kind(IntEnum):
    """Frame types (section 6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20


class Code(IntEnum):
    """Error codes (section 7), those that we send or look for."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    FLOW_CONTROL_ERROR = 0x3
    REFUSED_STREAM = 0x7
    CANCEL = 0x8


class Setting(IntEnum):
    """Section 6.5.2."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5


_HEAD: Final = struct.Struct(">BHBBI")
_GOAWAY_FIXED: Final = struct.Struct(">II")
_SETTING: Final = struct.Struct(">HI")


class FrameError(Exception):
    """The peer sent what no HTTP/2 peer may send."""


class Frame(NamedTuple):
    """One frame; `kind` may be a number that is in no standard we know."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


@dataclass(frozen=True)
class Goaway:
    """RFC 9113, section 6.8. Streams above `last_stream_id` were not looked at."""

    last_stream_id: int
    error_code: int
    debug: bytes


class FrameCutter:
    """Feed bytes, get whole frames. Holds no more than one frame."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete. Raises FrameError for a frame beyond the agreed size."""
        data = self._rest + data if self._rest else data
        self._rest = b""
        start, end = 0, len(data)
        while end - start >= HEADER:
            high, low, kind, flags, stream_id = _HEAD.unpack_from(data, start)
            length = high << 16 | low
            if length > LARGEST:
                raise FrameError(f"frame of {length} bytes, at most {LARGEST} are allowed")
            begin = start + HEADER
            if end - begin < length:
                break
            start = begin + length
            yield Frame(kind, flags, stream_id & 0x7FFF_FFFF, data[begin:start])
        self._rest = data[start:]


def frame(kind: Kind, stream_id: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """A frame; the payload is as long as the peer allows."""
    length = len(payload)
    return _HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, stream_id) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(Kind.SETTINGS, 0, b"".join(_SETTING.pack(name, value) for name, value in values.items()))


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """The pairs of a SETTINGS frame, in their order, which matters. Raises FrameError."""
    if len(payload) % _SETTING.size:
        raise FrameError("SETTINGS of odd length")
    return list(_SETTING.iter_unpack(payload))


def read_number(payload: bytes, what: str) -> int:
    """The one 32-bit number of a RST_STREAM or WINDOW_UPDATE frame. Raises FrameError."""
    if len(payload) != 4:
        raise FrameError(f"{what} of {len(payload)} bytes")
    return int.from_bytes(payload, "big")


def read_goaway(payload: bytes) -> Goaway:
    """Raises FrameError."""
    if len(payload) < _GOAWAY_FIXED.size:
        raise FrameError("GOAWAY is too short")
    last, code = _GOAWAY_FIXED.unpack_from(payload)
    return Goaway(last & 0x7FFF_FFFF, code, payload[_GOAWAY_FIXED.size :])


def unpadded(found: Frame) -> bytes:
    """A DATA or HEADERS frame's content without padding and priority (sections 6.1, 6.2). Raises FrameError."""
    payload, flags = found.payload, found.flags
    if flags & (PADDED | PRIORITY) == 0:
        return payload
    start, padding = 0, 0
    if flags & PADDED:
        if not payload:
            raise FrameError("padding without its length")
        start, padding = 1, payload[0]
    if flags & PRIORITY and found.kind == Kind.HEADERS:
        start += 5
    if start + padding > len(payload):
        raise FrameError("more padding than payload")
    return payload[start : len(payload) - padding]
