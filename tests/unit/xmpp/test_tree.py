"""Elements in their order, each with bytes that stand by themselves."""

import pytest

from gateway.xmpp import tree
from gateway.xmpp.payload import NotAnElement, read


def only_payload(source: bytes, depth: int = 2) -> tree.Tree:
    found = tree.parse(source, depth)
    for _ in range(depth):
        found = found.children[0]
    return found


def test_the_order_of_children_and_their_attributes_are_there() -> None:
    found = tree.parse(b"<a xmlns='n'><b id='1'/><c/><b id='2' x:y='z' xmlns:x='m'/></a>", 1)

    assert [("b", "n", {"id": "1"}), ("c", "n", {}), ("b", "n", {"id": "2"})] == [
        (child.name, child.ns, child.attrs) for child in found.children
    ]
    assert 2 == len(found.named("n", "b"))


def test_a_default_namespace_of_an_ancestor_is_declared_again() -> None:
    assert b"<c xmlns='n'>t</c>" == only_payload(b"<a xmlns='n'><b><c>t</c></b></a>").xml


def test_a_prefix_of_an_ancestor_is_declared_again_if_it_is_used() -> None:
    source = b"<a xmlns='n' xmlns:p='m' xmlns:q='o'><b><p:c><d p:e='1'/></p:c></b></a>"

    assert b"<p:c xmlns='n' xmlns:p='m'><d p:e='1'/></p:c>" == only_payload(source).xml


def test_an_element_with_its_own_declarations_stays_as_it_is() -> None:
    assert (
        b"<c xmlns='m' a='&gt;'>x &amp; y</c>"
        == only_payload(b"<a xmlns='n'><b><c xmlns='m' a='&gt;'>x &amp; y</c></b></a>").xml
    )


@pytest.mark.parametrize(
    "payload", ["<c xmlns='m'/>", "<c xmlns='m' a='>'/>", "<c xmlns='m'></c>", "<c xmlns='m' >\u03a8<d/></c >"]
)
def test_the_bytes_end_where_the_element_ends(payload: str) -> None:
    assert payload.encode() == only_payload(f"<a xmlns='n'><b>{payload}<z/></b> </a>".encode()).xml


def test_what_stands_alone_means_the_same() -> None:
    source = b"<p:a xmlns:p='n' xmlns='d'><p:b><c p:x='1'><p:e/></c></p:b></p:a>"

    assert {"d|c": {"@n|x": "1", "n|e": None}} == read(only_payload(source).xml)


def test_below_the_depth_nothing_is_read() -> None:
    found = tree.parse(b"<a><b><c/></b></a>", 1)

    assert [] == found.children[0].children
    assert b"<b xmlns=''><c/></b>" == found.children[0].xml


@pytest.mark.parametrize("source", [b"", b"<a>", b"<a/><b/>", b"<x:a/>", b"text"])
def test_what_is_no_element_is_refused(source: bytes) -> None:
    with pytest.raises(NotAnElement):
        tree.parse(source, 1)
