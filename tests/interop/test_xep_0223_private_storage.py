"""slixmpp as it is keeps private things in nodes of its own."""

from tests.support.eventing import befriend
from tests.support.pep_clients import pep_client
from tests.support.processes import Server

NODE = "storage:notes"
PAYLOAD = "<note xmlns='storage:notes'>mine</note>"


def test_what_is_stored_is_there_for_the_owner_alone(server: Server) -> None:
    juliet, romeo = server.account(), server.account()
    befriend(server, juliet, romeo)
    with (
        pep_client("slixmpp_pep", server, juliet, NODE) as owner,
        pep_client("slixmpp_pep", server, romeo, NODE) as contact,
    ):
        owner.done("store", node=NODE, payload=PAYLOAD)

        assert [True] == ["mine" in payload for payload in owner.ask("retrieve", node=NODE)]
        assert NODE == owner.wait("published")["node"]
        assert ["refused", "not-allowed", "closed-node"] == contact.ask("items", jid=juliet.jid, node=NODE)
        assert [] == contact.ask("nodes", jid=juliet.jid)
        assert [] == contact.all("published")


def test_a_node_that_everybody_reads_is_no_place_for_private_things(server: Server) -> None:
    with pep_client("slixmpp_pep", server, server.account()) as owner:
        owner.done("create", node=NODE, options={"access_model": "open"})

        assert ["refused", "conflict", "precondition-not-met"] == owner.ask("store", node=NODE, payload=PAYLOAD)
        assert [] == owner.ask("items", node=NODE)
