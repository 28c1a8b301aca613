"""XEP-0313 section 5.3: archive ids. On the wire `ms-seq`, as a Redis stream names its entries; in SQL and in
comparisons one number, `ms << 20 | seq`.
"""

from __future__ import annotations

import re
from typing import Final

SEQ_BITS: Final = 20

LATEST: Final = (1 << 63) - 1
"""no id is as late as this"""

_CANONICAL: Final = re.compile(r"(0|[1-9][0-9]{0,12})-(0|[1-9][0-9]{0,6})")


def to_text(number: int) -> str:
    """The id as it stands on the wire."""
    return f"{number >> SEQ_BITS}-{number & (1 << SEQ_BITS) - 1}"


def to_number(text: str) -> int | None:
    """The id as a number; None for what no archive ever gave, however it was spelt."""
    match = _CANONICAL.fullmatch(text)
    if match is None or int(match[2]) >> SEQ_BITS or int(match[1]) >> (63 - SEQ_BITS):
        return None
    return int(match[1]) << SEQ_BITS | int(match[2])


def first_of(ms: int) -> int:
    """The earliest id that an entry of this millisecond (since 1970) can have."""
    return min(max(ms, 0), LATEST >> SEQ_BITS) << SEQ_BITS


def ms_of(number: int) -> int:
    """When the entry was archived, in milliseconds since 1970."""
    return number >> SEQ_BITS
