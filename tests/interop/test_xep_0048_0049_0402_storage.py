"""slixmpp and aioxmpp as they are keep private XML and bookmarks, each in its own way, and find each other's."""

import pytest

from tests.support.deeds import deed
from tests.support.processes import Server
from tests.support.runners import Library

ROOM, CELLAR = "play@rooms.localhost", "cellar@rooms.localhost"

both = pytest.mark.parametrize("library", ["slixmpp", "aioxmpp"])


@both
def test_it_keeps_private_xml_for_another_device(server: Server, library: Library) -> None:
    account = server.account()

    assert "kept" == deed(server, library, account, "keep_notes", "Grüße & <b>")
    assert "Grüße & <b>" == deed(server, library, account, "notes", "")


@pytest.mark.parametrize("way", ["xep_0049", "xep_0223", "xep_0402"])
def test_a_bookmark_kept_in_one_way_is_found_in_every_way(server: Server, way: str) -> None:
    account = server.account()

    assert "kept" == deed(server, "slixmpp", account, "bookmark", way, ROOM, "The <Play>")
    for other in ("xep_0049", "xep_0223", "xep_0402"):
        assert [[ROOM, "The <Play>"]] == deed(server, "slixmpp", account, "bookmarks", other)
    assert [[ROOM, "The <Play>"]] == deed(server, "aioxmpp", account, "bookmarks", "")


def test_two_libraries_add_to_one_set(server: Server) -> None:
    account = server.account()
    deed(server, "slixmpp", account, "bookmark", "xep_0402", ROOM, "Play")

    assert "kept" == deed(server, "aioxmpp", account, "bookmark", CELLAR, "Cellar")
    assert [[ROOM, "Play"], [CELLAR, "Cellar"]] == deed(server, "slixmpp", account, "bookmarks", "xep_0402")
