"""slixmpp as it is: while it rests, chat states wait, and messages do not."""

from tests.support.device_clients import device
from tests.support.processes import Server


def test_chat_states_wait_for_a_client_that_rests(server: Server) -> None:
    with (
        device("slixmpp_devices", server, server.account()) as phone,
        device("slixmpp_devices", server, server.account()) as friend,
    ):
        phone.ask("inactive")
        phone.ask("ping")
        friend.ask("state", to=phone.jid, name="composing")
        friend.ask("state", to=phone.jid, name="paused")
        waited = phone.all("state")
        friend.say(phone.jid, "hello")
        phone.wait("message")
        with_it = [event["name"] for event in phone.all("state")]
        phone.ask("active")
        friend.ask("state", to=phone.jid, name="gone")
        phone.wait("state", 3)

        assert ([], ["composing", "paused"]) == (waited, with_it)
        assert ["composing", "paused", "gone"] == [event["name"] for event in phone.all("state")]
