"""XML 1.0 §2.2 and §2.4: character data and attribute values, so that a parser reads back what was written."""

from __future__ import annotations

import re
from typing import Final

_SPECIAL: Final = re.compile("[&<>\"'\\x00-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")

# A parser turns white space in attributes to blanks, and a lone carriage return anywhere to a line feed, unless it is
# written as a reference.
_REFERENCES: Final = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}


def escape(text: str) -> str:
    """`text` as it may stand in an element or in an attribute value of either quote. What XML has no characters for
    becomes U+FFFD.
    """
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(_reference, text)


def _reference(match: re.Match[str]) -> str:
    return _REFERENCES.get(match[0], "\N{REPLACEMENT CHARACTER}")
