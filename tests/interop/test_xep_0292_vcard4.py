"""slixmpp as it is publishes a vCard4 in its node, and a contact reads it."""

from tests.support.eventing import befriend
from tests.support.pep_clients import pep_client
from tests.support.processes import Server


def test_a_vcard4_is_published_and_read_by_a_contact(server: Server) -> None:
    juliet, romeo, stranger = server.account(), server.account(), server.account()
    befriend(server, juliet, romeo)
    with (
        pep_client("slixmpp_pep", server, juliet) as owner,
        pep_client("slixmpp_pep", server, romeo) as contact,
        pep_client("slixmpp_pep", server, stranger) as other,
    ):
        owner.done("vcard", name="Juliet Capulet")

        assert "Juliet Capulet" == contact.ask("see vcard", jid=juliet.jid)
        assert ["refused", "service-unavailable"] == other.ask("see vcard", jid=juliet.jid)
