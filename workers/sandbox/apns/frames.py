"""Answers in frames that are right and unusual (RFC 9113 section 6)."""

from hyperframe.frame import ContinuationFrame, Frame, HeadersFrame

FIRST_PIECE = 5


def chunks(body: bytes, form: str) -> list[bytes]:
    """The DATA frames of a body; none at all means that the header block ends the stream."""
    match form:
        case "none":
            return []
        case "empty":
            return [body, b""] if body else [b""]
        case "split":
            middle = len(body) // 2
            return [body[:middle], b"", body[middle:]]
        case "truncated":
            return [body[: len(body) // 2]]
        case _:
            return [body] if body else []


def continued(wire: bytes) -> bytes:
    """The same with its first frame, HEADERS with a whole header block, cut into HEADERS and two CONTINUATION frames.

    Section 6.10: a receiver has to put the pieces together before it can decode any of them.
    """
    frame, length = Frame.parse_frame_header(memoryview(wire[:9]))
    if not isinstance(frame, HeadersFrame):
        return wire
    frame.parse_body(memoryview(wire[9 : 9 + length]))
    block = frame.data
    frame.flags.discard("END_HEADERS")
    frame.data = block[:FIRST_PIECE]
    middle = ContinuationFrame(frame.stream_id, data=block[FIRST_PIECE : 2 * FIRST_PIECE])
    end = ContinuationFrame(frame.stream_id, data=block[2 * FIRST_PIECE :], flags=["END_HEADERS"])
    return frame.serialize() + middle.serialize() + end.serialize() + wire[9 + length :]
