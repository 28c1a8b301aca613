"""The photo of a vCard, and the avatar of XEP-0084, read and written."""

import base64
import hashlib

import pytest

from gateway.xmpp import ns, vcard
from gateway.xmpp.payload import NotAnElement, read
from gateway.xmpp.vcard import Photo

IMAGE = b"\x89PNG"
HASH = hashlib.sha1(IMAGE).hexdigest()


def card(inside: str) -> bytes:
    return f"<vCard xmlns='{ns.VCARD}'>{inside}</vCard>".encode()


def test_a_photo_is_read_from_base64_in_any_lines() -> None:
    text = base64.b64encode(IMAGE).decode()

    found = vcard.photo(card(f"<PHOTO><TYPE> image/png </TYPE><BINVAL>\r\n {text[:3]}\n{text[3:]} </BINVAL></PHOTO>"))

    assert Photo(IMAGE, "image/png") == found
    assert HASH == Photo(IMAGE, "").id


@pytest.mark.parametrize("inside", ["", "<PHOTO/>", "<PHOTO>x</PHOTO>", "<PHOTO><BINVAL>?</BINVAL></PHOTO>"])
def test_what_is_no_photo_is_none(inside: str) -> None:
    assert None is vcard.photo(card(inside))


def test_another_photo_leaves_everything_else_as_it_was() -> None:
    changed = vcard.with_photo(
        card("<FN>a&amp;b</FN><PHOTO><EXTVAL>x</EXTVAL></PHOTO><N/>"), Photo(IMAGE, "image/<png>")
    )

    assert changed.startswith(card("<FN>a&amp;b</FN><N/>").removesuffix(b"</vCard>"))
    assert Photo(IMAGE, "image/<png>") == vcard.photo(changed)
    assert card("<FN>a&amp;b</FN><N/>") == vcard.with_photo(changed, None)


def test_an_empty_or_prefixed_card_takes_a_photo() -> None:
    for empty in (vcard.EMPTY, f"<v:vCard xmlns:v='{ns.VCARD}'/>".encode()):
        assert Photo(IMAGE, "") == vcard.photo(vcard.with_photo(empty, Photo(IMAGE, "")))


def test_the_items_of_an_avatar_are_read_as_they_were_written() -> None:
    photo = Photo(IMAGE, "image/gif")

    assert IMAGE == vcard.data(b"<item id='x'>%b</item>" % photo.item())
    assert (HASH, "image/gif") == vcard.described(photo.metadata())
    assert not vcard.is_taken_back(photo.metadata())
    assert vcard.is_taken_back(vcard.NO_METADATA)


def test_of_several_images_the_one_that_was_published_is_meant() -> None:
    infos = "<info id='b' url='https://x'/><info/><info id='a' type='t'/>"

    assert ("a", "t") == vcard.described(f"<metadata xmlns='{ns.AVATAR_METADATA}'>{infos}</metadata>".encode())


SAID = {"<photo>x</photo>": "x", "<photo/>": "", "<photo a='b'> y </photo>": "y", "": None, "<other/>": None}


@pytest.mark.parametrize("inside", SAID)
def test_what_presence_says_of_an_avatar(inside: str) -> None:
    assert SAID[inside] == vcard.advertised(f"<x xmlns='{ns.VCARD_UPDATE}'>{inside}</x>".encode())


def test_what_the_server_says_of_an_avatar_is_read_back() -> None:
    for hashed in ("", HASH):
        assert hashed == vcard.advertised(vcard.advertisement(hashed))


def test_what_is_not_well_formed_is_refused() -> None:
    with pytest.raises(NotAnElement):
        vcard.photo(b"<vCard>")
    assert read(vcard.EMPTY)
