"""slixmpp and aioxmpp as they are: two devices of one account see both sides of a conversation."""

import itertools

import pytest

from tests.support.device_clients import DeviceLibrary, device
from tests.support.processes import Server

LIBRARIES: list[DeviceLibrary] = ["slixmpp_devices", "aioxmpp_devices"]


@pytest.mark.parametrize(("first", "second"), [*itertools.product(LIBRARIES, repeat=2)])
def test_two_devices_see_the_whole_conversation_once(
    server: Server, first: DeviceLibrary, second: DeviceLibrary
) -> None:
    account, friend_account = server.account(), server.account()
    with (
        device(first, server, account, "phone") as phone,
        device(second, server, account, "pc") as pc,
        device(first, server, friend_account, "orchard") as friend,
    ):
        for each in (phone, pc):
            assert "done" == each.ask("carbons", on=True)
        friend.say(phone.jid, "m0")
        pc.wait("carbon", 1)
        phone.wait("message", 1)
        phone.say(friend.jid, "m1")
        pc.wait("carbon", 2)
        pc.say(friend.jid, "m2")
        phone.wait("carbon", 1)
        friend.say(account.jid, "m3")
        for each, count in ((phone, 2), (pc, 1)):
            each.wait("message", count)
        for each in (phone, pc):
            each.ask("ping")

        assert [("received", "m0"), ("sent", "m1")] == [(each["way"], each["body"]) for each in pc.all("carbon")]
        assert [("sent", "m2")] == [(each["way"], each["body"]) for each in phone.all("carbon")]
        assert (["m0", "m3"], ["m3"]) == (
            [each["body"] for each in phone.all("message")], [each["body"] for each in pc.all("message")],
        )  # fmt: skip
        assert {friend.jid} == {each["sender"] for each in pc.all("carbon") if each["way"] == "received"}


@pytest.mark.parametrize("library", LIBRARIES)
def test_it_switches_copies_off_again(server: Server, library: DeviceLibrary) -> None:
    account, friend_account = server.account(), server.account()
    with (
        device(library, server, account, "phone") as phone,
        device(library, server, account, "pc") as pc,
        device(library, server, friend_account, "orchard") as friend,
    ):
        pc.ask("carbons", on=True)
        friend.say(phone.jid, "m0")
        pc.wait("carbon")
        pc.ask("carbons", on=False)
        friend.say(phone.jid, "m1")
        phone.wait("message", 2)
        pc.ask("ping")

        assert ["m0"] == [each["body"] for each in pc.all("carbon")]
