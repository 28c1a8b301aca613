"""XEP-0198 §4: stanza counts, which wrap from 2^32 - 1 to 0 on the wire.

Inside, counts are absolute: they only grow. These functions translate, and nothing else knows of the wrap.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.xmpp.errors import StreamCondition, StreamError, handled_count_too_high

MODULUS: Final = 2**32

_UNSIGNED: Final = re.compile("[0-9]{1,20}")


def wire(count: int) -> int:
    """An absolute count as the attribute `h` carries it."""
    return count % MODULUS


def distance(h: int, since: int) -> int:
    """How many stanzas lie between `since`, absolute or not, and `h`: 0 to 2^32 - 1. A step back looks very long."""
    return (h - since) % MODULUS


def handled(h: int, acked: int, sent: int) -> int:
    """How many more stanzas the peer's `h` acknowledges, 0 to `sent - acked` (both absolute).

    Raises StreamError, `handled-count-too-high`, for every other `h`: one lower than before is one too high.
    """
    newly = distance(h, acked)
    if newly > sent - acked:
        raise handled_count_too_high(wire(h), wire(sent))
    return newly


def absolute(h: int, acked: int, sent: int) -> int:
    """The absolute count that `h` means, `acked` to `sent`. Raises StreamError as `handled` does."""
    return acked + handled(h, acked, sent)


def parse_h(text: str) -> int:
    """The attribute `h`, an xs:unsignedInt (XEP-0198 §14). Raises StreamError(invalid-xml)."""
    if _UNSIGNED.fullmatch(text):
        h = int(text)
        if h < MODULUS:
            return h
    raise StreamError(StreamCondition.INVALID_XML, "the attribute h is a whole number from 0 to 4294967295")
