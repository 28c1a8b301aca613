"""vCards and avatars with slixmpp and aioxmpp as they are: whichever way one is shown, the others see it."""

import base64
import hashlib

import pytest

from gateway.xmpp import ns
from tests.support.deeds import deed
from tests.support.iq import let_see
from tests.support.phone import Phone, stanza
from tests.support.processes import DOMAIN, Account, Server

IMAGE = b"\x89PNG an image"
ENCODED, HASH = base64.b64encode(IMAGE).decode(), hashlib.sha1(IMAGE).hexdigest()


def hash_in_presence(server: Server, account: Account) -> str | None:
    """What the account's own presence tells, of a client that says nothing of avatars."""
    phone = Phone(server, account).bind("plain")
    phone.send("<presence/>")
    presence = phone.skip_to(stanza("presence"))
    while presence.get("from") != phone.jid:
        presence = phone.skip_to(stanza("presence"))
    phone.cut()
    return presence.findtext(f"{{{ns.VCARD_UPDATE}}}x/{{{ns.VCARD_UPDATE}}}photo")


def test_a_vcard_is_kept_and_read_by_others(server: Server) -> None:
    juliet, romeo = server.account(), server.account()

    assert "kept" == deed(server, "slixmpp", juliet, "keep_card", "Juliet <C>")
    assert ["Juliet <C>", ""] == deed(server, "slixmpp", romeo, "card", juliet.jid)
    assert {"error": "service-unavailable"} == deed(server, "slixmpp", romeo, "card", f"nobody@{DOMAIN}")
    assert {"error": "forbidden"} == deed(server, "slixmpp", romeo, "keep_card", "Romeo", juliet.jid)


@pytest.mark.parametrize(
    ("library", "does"), [("slixmpp", "show_avatar"), ("slixmpp", "publish_avatar"), ("aioxmpp", "keep_photo")]
)
def test_an_avatar_shown_in_one_way_is_seen_in_every_way(server: Server, library: str, does: str) -> None:
    juliet, romeo = server.account(), server.account()
    let_see(server, juliet, romeo)

    assert deed(server, "slixmpp" if library == "slixmpp" else "aioxmpp", juliet, does, ENCODED)
    assert ENCODED == deed(server, "slixmpp", romeo, "card", juliet.jid)[1]
    assert ENCODED == deed(server, "aioxmpp", romeo, "photo", juliet.jid)
    assert ENCODED == deed(server, "slixmpp", romeo, "avatar", juliet.jid, HASH)
    assert HASH == hash_in_presence(server, juliet)
