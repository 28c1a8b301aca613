"""Start tags as bytes."""

from __future__ import annotations

import pytest

from gateway.xmpp.start_tag import attributes, end_of_tag, qualified_name
from gateway.xmpp.token import TagScanner


@pytest.mark.parametrize("tag", [b"<a>", b"<a/>", b"<a b='>'>", b"<p:a b=\"'>\" c='\">'\n/>"])
def test_a_tag_ends_at_its_own_bracket(tag: bytes) -> None:
    assert len(tag) + 1 == end_of_tag(b"x" + tag + b"text'>", 1)


@pytest.mark.parametrize("junk", [b"", b"a", b"<a", b"<a b='>"])
def test_what_is_no_whole_tag_has_no_end(junk: bytes) -> None:
    with pytest.raises(ValueError, match="no start tag"):
        end_of_tag(junk)


@pytest.mark.parametrize("junk", [b"", b"<", b"<>"])
def test_what_is_no_tag_has_no_name(junk: bytes) -> None:
    with pytest.raises(ValueError, match="no start tag"):
        qualified_name(junk)


def test_values_are_decoded_as_a_parser_does() -> None:
    tag = b"<a p:b = '&#x41;&#66;&lt;&amp;lt;' c=\"x\ty\nz\r\nw&#10;\" d=''/>"

    assert {"p:b": "AB<&lt;", "c": "x y z w\n", "d": ""} == attributes(tag)


@pytest.mark.parametrize(
    ("pieces", "ends"),
    [
        ([b"<a b"], False),
        ([b"<a b", b">"], True),
        ([b"<a b='", b">", b"'"], False),
        ([b"<a b='>", b">'>"], True),
        ([b"<a b=\"'", b"'>\"", b" c='\"' ", b"/>"], True),
    ],
)
def test_a_tag_in_pieces_ends_outside_its_quotes(pieces: list[bytes], ends: bool) -> None:
    scanner = TagScanner()

    assert ends == [scanner.ends_in(piece) for piece in pieces][-1]
