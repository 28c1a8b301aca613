"""Elements as dictionaries."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.xmpp.payload import NotAnElement, read, several


@pytest.mark.parametrize(
    ("element", "value"),
    [
        (b"<a/>", None),
        (b"<a> text </a>", " text "),
        (b"<a x='1'/>", {"@x": "1"}),
        (b"<a xml:lang='de' xmlns:p='urn:p' p:y='2'/>", {"@xml:lang": "de", "@urn:p|y": "2"}),
        (b"<a x='1'> t </a>", {"@x": "1", "#text": " t "}),
        (b"<a>\n <b/>\n</a>", {"urn:d|b": None}),
        (b"<a><b>1</b><b xmlns='urn:e'>2</b><b>3</b></a>", {"urn:d|b": ["1", "3"], "urn:e|b": "2"}),
        (b"<a><b xmlns=''/></a>", {"b": None}),
        (b"<a><b xmlns='urn:e|f|'/><p:c xmlns:p='|' p:y='2'/></a>", {"urn:e|f||b": None, "||c": {"@||y": "2"}}),
        (b"<a>&lt;&#252;<![CDATA[<]]></a>", "<ü<"),
    ],
)
def test_an_element_is_read_in_the_namespace_it_stands_in(element: bytes, value: Any) -> None:
    assert {"urn:d|a": value} == read(element, default="urn:d")


def test_its_own_namespace_wins() -> None:
    assert {"urn:o|a": None} == read(b"<a xmlns='urn:o'/>", default="urn:d")
    assert {"a": None} == read(b"<a/>")


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"text",
        b"<a>",
        b"<a/><b/>",
        b"<p:a/>",
        b"<a>\xff</a>",
        b"<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
        b"<>",
        b"< a/>",
    ],
)
def test_what_is_not_one_element_is_refused(junk: bytes) -> None:
    with pytest.raises(NotAnElement):
        read(junk)
    with pytest.raises(NotAnElement):
        read(junk, default="urn:d")


@pytest.mark.parametrize(
    ("parent", "children"),
    [({"b": "1"}, ["1"]), ({"b": None}, [None]), ({"b": ["1", "2"]}, ["1", "2"]), ({}, []), ("t", []), (None, [])],
)
def test_children_are_a_list_however_many_there_are(parent: Any, children: list[Any]) -> None:
    assert children == several(parent, "b")
