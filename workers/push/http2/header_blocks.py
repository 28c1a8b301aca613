# mypy: disable-error-code="import-untyped"
# jh2 has types in its Rust part only.
"""Header fields as HEADERS and CONTINUATION frames (RFC 9113, section 4.3), by jh2's HPACK (RFC 7541)."""

from __future__ import annotations

from typing import Final

from jh2.connection import Decoder, Encoder, HPACKError, OversizedHeaderListError

from workers.push.http2.exchange import Headers
from workers.push.http2.frames import END_HEADERS, END_STREAM, Frame, FrameError, Kind, frame, unpadded

LIMIT: Final = 65_536
"""Bytes of one header block: CONTINUATION frames without end would fill the memory."""

TABLE_SIZE: Final = 4096
"""Bytes of the table of header fields, at most, whatever the peer allows."""


class HeaderBlocks:
    """Both directions of one connection: what is encoded or decoded has to go out, or has come in, in that order."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._begun: tuple[Frame, bytes] | None = None

    @property
    def is_begun(self) -> bool:
        """A block has begun to come in: nothing but its CONTINUATION may follow."""
        return self._begun is not None

    def allow_table(self, size: int) -> None:
        """SETTINGS_HEADER_TABLE_SIZE of the peer."""
        self._encoder.header_table_size = min(size, TABLE_SIZE)

    def frames(self, stream_id: int, headers: Headers, *, is_end: bool, frame_size: int) -> bytes:
        """A request's headers. Raises FrameError if they cannot be encoded: then nothing has changed."""
        try:
            block = self._encoder.encode(headers)
        except (HPACKError, UnicodeError, TypeError, ValueError) as error:
            raise FrameError(f"headers cannot be encoded: {type(error).__name__}") from error
        flags = END_STREAM if is_end else 0
        if len(block) <= frame_size:
            return frame(Kind.HEADERS, stream_id, block, flags | END_HEADERS)
        parts = [frame(Kind.HEADERS, stream_id, block[:frame_size], flags)]
        for begin in range(frame_size, len(block), frame_size):
            end = begin + frame_size
            last = END_HEADERS if end >= len(block) else 0
            parts.append(frame(Kind.CONTINUATION, stream_id, block[begin:end], last))
        return b"".join(parts)

    def take(self, found: Frame) -> tuple[Frame, list[tuple[bytes, bytes]]] | None:
        """A HEADERS or CONTINUATION frame. Answers the first frame of the block and its fields when it is whole. Raises
        FrameError.
        """
        if found.kind == Kind.HEADERS:
            first, block = found, unpadded(found)
        else:
            if self._begun is None or self._begun[0].stream_id != found.stream_id:
                raise FrameError("CONTINUATION without a header block")
            first, block = self._begun[0], self._begun[1] + found.payload
        if len(block) > LIMIT:
            raise FrameError(f"a header block of more than {LIMIT} bytes")
        if not found.flags & END_HEADERS:
            self._begun = (first, block)
            return None
        self._begun = None
        return first, self._decoded(block)

    def _decoded(self, block: bytes) -> list[tuple[bytes, bytes]]:
        try:
            return [(name, value) for name, value, *_ in self._decoder.decode(block, raw=True)]
        except (HPACKError, OversizedHeaderListError) as error:
            raise FrameError(f"{type(error).__name__}: {error}") from error
        except BaseException as error:
            # A block that is cut off makes jh2's Rust part panic, which reaches Python as a BaseException without a
            # name that could be imported.
            if type(error).__name__ == "PanicException":
                raise FrameError("a header block that cannot be decoded") from None
            raise
