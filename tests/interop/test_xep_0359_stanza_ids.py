"""slixmpp as it is: all devices of an account know a message by one id, which the account gave."""

from tests.support.device_clients import device
from tests.support.processes import Server


def test_devices_know_a_message_by_the_same_id(server: Server) -> None:
    account, friend_account = server.account(), server.account()
    with (
        device("slixmpp_devices", server, account, "phone") as phone,
        device("slixmpp_devices", server, account, "pc") as pc,
        device("slixmpp_devices", server, friend_account, "orchard") as friend,
    ):
        pc.ask("carbons", on=True)
        friend.say(account.jid, "to all")
        friend.say(phone.jid, "to one")
        live, one = phone.wait("message", 1), phone.wait("message", 2)
        elsewhere, copy = pc.wait("message"), pc.wait("carbon")

        assert (account.jid, account.jid) == (live["by"], copy["by"])
        assert (live["id"], one["id"]) == (elsewhere["id"], copy["id"])
        assert live["id"] != one["id"] and live["id"]
