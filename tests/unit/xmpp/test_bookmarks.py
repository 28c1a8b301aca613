"""Bookmarks in the form of XEP-0048 and in that of XEP-0402."""

import pytest

from gateway.xmpp import bookmarks, ns
from gateway.xmpp.bookmarks import Bookmark, Storage
from gateway.xmpp.payload import NotAnElement

FULL = Bookmark(
    jid="play@rooms.localhost",
    name="A <b> & 'c'",
    autojoin=True,
    nick="J&J",
    password="<&>",
    extensions=b"<extensions xmlns='urn:xmpp:bookmarks:1'><x xmlns='urn:x'>y</x></extensions>",
)

URL = b"<url xmlns='storage:bookmarks' url='u'/>"


def test_an_item_is_read_as_it_was_written() -> None:
    item = b"<item id='play@rooms.localhost'>%b</item>" % FULL.to_item()

    assert FULL == bookmarks.read_item(FULL.jid, item)
    assert FULL == bookmarks.read_item(FULL.jid, FULL.to_item())


def test_a_list_is_read_as_it_was_written_but_for_extensions() -> None:
    plain = Bookmark("b@rooms.localhost")
    found = bookmarks.read_storage(Storage((FULL, plain), URL).to_xml())

    assert ["play@rooms.localhost", "b@rooms.localhost"] == [one.jid for one in found.bookmarks]
    assert found.bookmarks[0].is_like(FULL)
    assert b"" == found.bookmarks[0].extensions
    assert plain == found.bookmarks[1]
    assert URL == found.others


@pytest.mark.parametrize("jid", ["", "localhost", "a@b/c", "@b", "a b@c"])
def test_what_has_no_rooms_address_is_no_bookmark(jid: str) -> None:
    assert None is bookmarks.read_item(jid, FULL.to_item())
    conference = f"<conference xmlns='{ns.BOOKMARKS_LEGACY}' jid='{jid}'/>".encode()
    assert Storage((), conference) == bookmarks.read_storage(Storage((), conference).to_xml())


@pytest.mark.parametrize("xml", [b"<x/>", b"text", b"<item/>", b"<item>x</item>", b"<conference xmlns='urn:x'/>"])
def test_what_is_no_item_is_no_bookmark(xml: bytes) -> None:
    assert None is bookmarks.read_item(FULL.jid, xml)


@pytest.mark.parametrize("xml", [b"<x/>", b"text", b"<storage xmlns='storage:bookmarks'>x</storage>"])
def test_what_is_no_list_is_refused(xml: bytes) -> None:
    with pytest.raises(NotAnElement):
        bookmarks.read_storage(xml)


def test_of_one_room_the_last_word_counts() -> None:
    two = Storage((Bookmark("a@b", "one"), Bookmark("a@b", "two"))).to_xml()

    assert (Bookmark("a@b", "two"),) == bookmarks.read_storage(two).bookmarks


@pytest.mark.parametrize(
    ("written", "means"), [("true", True), ("1", True), (" true ", True), ("false", False), ("x", False)]
)
def test_autojoin_is_a_boolean_of_xml_schema(written: str, means: bool) -> None:
    item = f"<conference xmlns='{ns.BOOKMARKS}' autojoin='{written}'/>".encode()

    assert Bookmark("a@b", autojoin=means) == bookmarks.read_item("a@b", item)


def test_of_two_nicks_the_first_counts() -> None:
    conference = f"<conference xmlns='{ns.BOOKMARKS_LEGACY}' jid='a@b'><nick>one</nick><nick>two</nick></conference>"
    found = bookmarks.read_storage(f"<storage xmlns='{ns.BOOKMARKS_LEGACY}'>{conference}</storage>".encode())

    assert "one" == found.bookmarks[0].nick


def test_a_nick_is_read_whatever_attributes_it_has() -> None:
    conference = f"<conference xmlns='{ns.BOOKMARKS_LEGACY}' jid='a@b'><nick x='y'>one</nick></conference>"
    found = bookmarks.read_storage(f"<storage xmlns='{ns.BOOKMARKS_LEGACY}'>{conference}</storage>".encode())

    assert "one" == found.bookmarks[0].nick
