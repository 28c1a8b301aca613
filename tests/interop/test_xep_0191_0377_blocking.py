"""slixmpp and aioxmpp as they are: they block, are told of each other's changes, and hear nothing of the blocked."""

import json

import pytest

from tests.support.device_clients import DeviceLibrary, device
from tests.support.processes import Server

LIBRARIES = pytest.mark.parametrize("library", ["slixmpp_devices", "aioxmpp_devices"])


@LIBRARIES
def test_it_blocks_and_unblocks_and_keeps_its_list(server: Server, library: DeviceLibrary) -> None:
    with device(library, server, server.account()) as phone:
        phone.ask("list")

        assert "done" == phone.ask("block", jids=["romeo@x.example", "tybalt@x.example/sword", "y.example"])
        assert ["romeo@x.example", "tybalt@x.example/sword", "y.example"] == phone.wait("blocked")["jids"]
        assert "done" == phone.ask("unblock", jids=["y.example"])
        assert ["y.example"] == phone.wait("unblocked")["jids"]
        assert ["romeo@x.example", "tybalt@x.example/sword"] == phone.ask("list")


@LIBRARIES
def test_one_library_is_told_what_the_other_changes(server: Server, library: DeviceLibrary) -> None:
    account = server.account()
    with device(library, server, account, "phone") as phone, device("slixmpp_devices", server, account, "pc") as pc:
        phone.ask("list")
        pc.ask("list")
        pc.ask("block", jids=["romeo@x.example"])

        assert ["romeo@x.example"] == phone.wait("blocked")["jids"]
        assert "done" == pc.ask("unblock", jids=["romeo@x.example"])
        assert ["romeo@x.example"] == phone.wait("unblocked")["jids"]
        assert [] == phone.ask("list") == pc.ask("list")


@LIBRARIES
def test_the_blocked_do_not_reach_it_and_learn_no_more_than_that_nobody_is_there(
    server: Server, library: DeviceLibrary
) -> None:
    juliet, romeo = server.account(), server.account()
    with device(library, server, juliet) as phone, device(library, server, romeo) as friend:
        phone.ask("block", jids=[romeo.jid])
        friend.say(juliet.jid, "hello")
        refusal = friend.wait("error")["condition"]
        phone.say(friend.jid, "hello")
        own_refusal = phone.wait("error")["condition"]
        phone.ask("unblock", jids=[romeo.jid])
        friend.say(juliet.jid, "again")
        phone.wait("message")

        assert ("service-unavailable", "not-acceptable") == (refusal, own_refusal)
        assert ["again"] == [message["body"] for message in phone.all("message")]
        assert [] == friend.all("message")


@LIBRARIES
def test_it_is_told_why_something_cannot_be_blocked(server: Server, library: DeviceLibrary) -> None:
    account = server.account()
    with device(library, server, account) as phone:
        assert ["refused", "not-allowed"] == phone.ask("block", jids=[account.jid])


def test_it_unblocks_everybody_at_once(server: Server) -> None:
    account = server.account()
    with device("aioxmpp_devices", server, account, "phone") as phone:
        phone.ask("block", jids=["romeo@x.example", "paris@x.example"])

        assert "done" == phone.ask("unblock", jids=[])
        assert ["paris@x.example", "romeo@x.example"] == phone.wait("unblocked")["jids"]
        assert [] == phone.ask("list")


def test_it_blocks_with_a_report(server: Server) -> None:
    account = server.account()
    with device("slixmpp_devices", server, account, "phone") as phone:
        assert "done" == phone.ask("report", jids=["tybalt@x.example"], reason="abuse")
        assert ["tybalt@x.example"] == phone.ask("list")

    shown = json.loads(server.command("user", "reports", "--json"))
    (report,) = [report for report in shown if report["by"] == account.jid]
    assert ("tybalt@x.example", "urn:xmpp:reporting:abuse") == (report["about"], report["reason"])
