"""RFC 4013: SASLprep, the profile that RFC 5802 §2.2 names for passwords."""

import stringprep
import unicodedata

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str) -> str:
    """`text` in the one form that both sides hash. Raises ValueError for characters that RFC 4013 §2.3 and §2.4
    prohibit.

    Code points that Unicode 3.2 did not know are let through, as RFC 3454 §7 has it for queries: people put emoji into
    passwords, and clients send them.
    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(_map(char) for char in text)
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    for char in prepared:
        if any(is_prohibited(char) for is_prohibited in _PROHIBITED):
            raise ValueError(f"SASLprep prohibits U+{ord(char):04X}")
    _check_direction(prepared)
    return prepared


def _map(char: str) -> str:
    """RFC 4013 §2.1."""
    if stringprep.in_table_c12(char):
        return " "
    return "" if stringprep.in_table_b1(char) else char


def _check_direction(prepared: str) -> None:
    """RFC 3454 §6: right-to-left text starts and ends with a right-to-left character and holds no left-to-right one."""
    if not any(stringprep.in_table_d1(char) for char in prepared):
        return
    if any(stringprep.in_table_d2(char) for char in prepared):
        raise ValueError("SASLprep prohibits mixed directions")
    if not (stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1])):
        raise ValueError("SASLprep wants right-to-left text to start and end right to left")
