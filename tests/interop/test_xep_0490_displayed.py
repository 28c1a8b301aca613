"""slixmpp as it is says what has been displayed; another device of the account catches up, and follows."""

from tests.support.eventing import befriend
from tests.support.pep_clients import pep_client
from tests.support.processes import Server

NODE = "urn:xmpp:mds:displayed:0"


def test_displayed_is_synchronised_among_the_accounts_devices_only(server: Server) -> None:
    account, friend = server.account(), server.account()
    befriend(server, account, friend)
    with (
        pep_client("slixmpp_pep", server, account, NODE) as phone,
        pep_client("slixmpp_pep", server, friend, NODE) as other,
    ):
        for number in range(5):
            phone.done("displayed", chat=f"contact{number}@example", id=f"s{number}")
        phone.done("displayed", chat="contact1@example", id="s9")

        expected = [[f"contact{n}@example", f"s{n}"] for n in (0, 2, 3, 4)] + [["contact1@example", "s9"]]
        assert expected == phone.ask("catch up")
        assert 6 == len([phone.wait("published", count) for count in range(1, 7)])
        assert ["refused", "not-allowed", "closed-node"] == other.ask("items", jid=account.jid, node=NODE)
        assert [] == other.all("published")
