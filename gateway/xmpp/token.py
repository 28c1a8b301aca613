"""XML 1.0 §2.4: tags that come in many small pieces.

Expat reads an unfinished tag again from its beginning with every piece, which takes quadratic time. So a long one is
withheld from it until this scanner, which sees every byte once, has found its end.
"""

from __future__ import annotations

import re
from typing import Final

_QUOTE_OR_END: Final = re.compile(rb"""['">]""")


class TagScanner:
    """Looks for the `>` that ends a tag: one that stands in no attribute's value."""

    __slots__ = ("_quote",)

    def __init__(self) -> None:
        self._quote = b""

    def ends_in(self, piece: bytes | bytearray) -> bool:
        """Whether the tag ends in this piece, which follows those given before."""
        at = 0
        while True:
            if self._quote:
                at = piece.find(self._quote, at) + 1
                if not at:
                    return False
                self._quote = b""
            found = _QUOTE_OR_END.search(piece, at)
            if found is None:
                return False
            if found[0] == b">":
                return True
            self._quote = bytes(found[0])
            at = found.end()
