"""slixmpp as it is: it counts, lists, views, fetches and removes what waits."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.device_clients import DeviceClient, device
from tests.support.processes import Account, Server


@contextmanager
def a_visitor(server: Server, *bodies: str) -> Iterator[tuple[DeviceClient, Account, str]]:
    """A client that has sent no presence, its account, and who left these messages."""
    account, friend = server.account(), server.account()
    with device("slixmpp_devices", server, friend, "orchard") as sender:
        for body in bodies:
            sender.say(account.jid, body)
    with device("slixmpp_devices", server, account, "visitor", available=False) as visitor:
        yield visitor, account, f"{friend.jid}/orchard"


def test_it_looks_before_it_takes(server: Server) -> None:
    with a_visitor(server, "one", "two", "three") as (visitor, _, sender):
        count = visitor.ask("count")
        headers = visitor.ask("headers")
        nodes = [node for node, _ in headers]
        looked = visitor.ask("view", nodes=nodes[:2])
        visitor.ask("remove", nodes=nodes[:1])

        assert ("3", [sender] * 3) == (count, [name for _, name in headers])
        assert sorted([[nodes[0], "one"], [nodes[1], "two"]]) == sorted(looked)
        assert nodes[1:] == [node for node, _ in visitor.ask("headers")]


def test_it_fetches_everything_and_is_not_flooded(server: Server) -> None:
    with a_visitor(server, "one", "two") as (visitor, _, _):
        fetched = visitor.ask("fetch")
        shown = len(visitor.all("message"))
        visitor.ask("presence")
        flood = visitor.all("message")[shown:]
        visitor.ask("purge")

        assert (["one", "two"], []) == ([body for _, body in fetched], flood)
        assert "0" == visitor.ask("count")


def test_it_is_told_that_something_is_not_there(server: Server) -> None:
    with a_visitor(server, "one") as (visitor, _, _):
        assert ["refused", "item-not-found"] == visitor.ask("remove", nodes=["1-2"])
        assert "1" == visitor.ask("count")
