"""slixmpp as it is keeps its bookmarks as XEP-0402 says; another device follows."""

from tests.support.pep_clients import pep_client
from tests.support.processes import Server

NODE = "urn:xmpp:bookmarks:1"


def test_bookmarks_are_kept_each_by_itself_and_told_to_other_devices(server: Server) -> None:
    account = server.account()
    with pep_client("slixmpp_pep", server, account) as phone:
        for number in range(12):
            phone.done("bookmark", room=f"room{number}@rooms.example", name=f"Room {number}")
        phone.done("bookmark", room="room3@rooms.example", name="Council")
        found = phone.ask("bookmarks")

        assert 12 == len(found)
        assert ["room3@rooms.example", "Council", True] in found
        shown = phone.ask("configuration", node=NODE)
        assert ("whitelist", "max", "never") == tuple(
            shown[f"pubsub#{name}"] for name in ("access_model", "max_items", "send_last_published_item")
        )
        with pep_client("slixmpp_pep", server, account, NODE) as tablet:
            phone.done("retract", node=NODE, id="room3@rooms.example", notify=True)
            assert "room3@rooms.example" == tablet.wait("retracted")["id"]
            phone.done("bookmark", room="new@rooms.example", name="New")
            assert "new@rooms.example" == tablet.wait("published")["id"]
            assert 12 == len(tablet.ask("bookmarks"))
            assert 1 == len(tablet.all("published"))  # send_last_published_item is never
