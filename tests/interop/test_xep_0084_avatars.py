"""slixmpp as it is publishes an avatar; its contact is told, and fetches it."""

import base64

from tests.support.eventing import befriend
from tests.support.pep_clients import pep_client
from tests.support.processes import Server

PICTURE = base64.b64encode(bytes(range(256)) * 200).decode()


def test_an_avatar_of_usual_size_is_published_told_and_fetched(server: Server) -> None:
    juliet, romeo = server.account(), server.account()
    befriend(server, juliet, romeo)
    with pep_client("slixmpp_pep", server, juliet) as owner, pep_client("slixmpp_pep", server, romeo) as contact:
        name = owner.ask("avatar", data=PICTURE)

        event = contact.wait("published")
        assert ("urn:xmpp:avatar:metadata", name) == (event["node"], event["id"])
        assert PICTURE == contact.ask("see avatar", jid=juliet.jid, id=name)
