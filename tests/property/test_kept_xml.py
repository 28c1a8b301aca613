"""Whatever clients write into vCards, avatars, bookmarks and private XML: it is read, or refused as no element."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from gateway.xmpp import bookmarks, ns, vcard
from gateway.xmpp.bookmarks import Bookmark, Storage
from gateway.xmpp.escape import escape
from gateway.xmpp.inner import default_inside, inner, moved, payload
from gateway.xmpp.payload import NotAnElement, read
from gateway.xmpp.stanza import peek
from gateway.xmpp.vcard import Photo

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12)
NAMES = st.sampled_from(["PHOTO", "BINVAL", "TYPE", "FN", "photo", "x", "info", "conference", "nick", "url", "p:x"])
SPACES = st.sampled_from(["", " xmlns='urn:p'", f" xmlns='{ns.VCARD}'", " xmlns=''", " xmlns:p='urn:q'"])
ATTRIBUTES = st.sampled_from(["", " id='1'", " jid='a@b'", " jid='a@b/c'", " autojoin='1'", " p:a='1'", " url='u'"])


def element(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    inside = st.lists(children | TEXT.map(escape), max_size=3).map("".join)
    return st.builds(lambda name, a, b, text: f"<{name}{a}{b}>{text}</{name}>", NAMES, SPACES, ATTRIBUTES, inside)


TREES = st.recursive(TEXT.map(escape), element, max_leaves=8)
CONTENT = st.lists(element(TREES) | element(TREES) | element(TREES) | TREES, max_size=4).map("".join)


def around(name: str, namespace: str, content: str) -> bytes:
    return f"<{name} xmlns='{namespace}' xmlns:p='urn:p'>{content}</{name}>".encode()


@given(CONTENT)
def test_a_vcard_is_read_changed_and_read_again(content: str) -> None:
    card = around("vCard", ns.VCARD, content)
    with suppress(NotAnElement):
        vcard.photo(card)
        changed = vcard.with_photo(card, Photo(b"image", "image/png"))

        assert Photo(b"image", "image/png") == vcard.photo(changed)
        assert None is vcard.photo(vcard.with_photo(changed, None))


@given(CONTENT)
def test_what_is_said_of_avatars_is_read_or_refused(content: str) -> None:
    for read_it, written in (
        (vcard.described, around("metadata", ns.AVATAR_METADATA, content)),
        (vcard.is_taken_back, around("metadata", ns.AVATAR_METADATA, content)),
        (vcard.advertised, around("x", ns.VCARD_UPDATE, content)),
        (vcard.data, around("item", "", around("data", ns.AVATAR_DATA, content).decode())),
    ):
        with suppress(NotAnElement):
            assert callable(read_it)
            read_it(written)


ROOMS = st.builds(
    lambda jid, space, inside: f"<conference jid='{jid}' name='n'{space}>{inside}</conference>",
    st.sampled_from(["a@b", "A@b", "c@d", "a@b/c", "b", ""]),
    st.sampled_from(["", "", " xmlns:p='urn:q'", " xmlns='urn:p'"]),
    st.lists(element(TREES), max_size=2).map("".join),
)


@given(st.lists(ROOMS | element(TREES), max_size=5).map("".join))
def test_a_list_of_bookmarks_is_read_and_comes_out_as_it_went_in(content: str) -> None:
    with suppress(NotAnElement):
        found = bookmarks.read_storage(around("storage", ns.BOOKMARKS_LEGACY, content))
        again = bookmarks.read_storage(found.to_xml())

        assert found.bookmarks == again.bookmarks
        assert read(b"<x>%b</x>" % found.others) == read(b"<x>%b</x>" % again.others)


@given(st.builds(Bookmark, st.just("a@b"), TEXT, st.booleans(), TEXT, TEXT))
def test_a_bookmark_is_the_same_in_both_forms(bookmark: Bookmark) -> None:
    assert bookmark == bookmarks.read_item("a@b", bookmark.to_item())
    assert (bookmark,) == bookmarks.read_storage(Storage((bookmark,)).to_xml()).bookmarks


@given(CONTENT)
def test_private_xml_means_the_same_wherever_it_stands(content: str) -> None:
    with suppress(NotAnElement):
        query = payload(peek(b"<iq id='1'>%b</iq>" % around("query", ns.PRIVATE, content)))
        before = [read(around("query", ns.PRIVATE, one.raw.decode())) for one in inner(query)]
        there = [moved(one, default=default_inside(query), into="urn:other") for one in inner(query)]

        after = [read(b"<query xmlns='urn:other'>%b</query>" % one) for one in there]
        assert [next(iter(one.values())) for one in before] == [next(iter(one.values())) for one in after]
