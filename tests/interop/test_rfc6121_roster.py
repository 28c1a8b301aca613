"""slixmpp and aioxmpp as they are: contacts find each other, see each other, and part; every device is told."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, cast

import pytest

from tests.support.processes import Account, Server
from tests.support.runners import Library, Runner, runner

RosterLibrary = Literal["slixmpp_roster", "aioxmpp_roster"]

pytestmark = pytest.mark.parametrize("library", ["slixmpp_roster", "aioxmpp_roster"])


class Person:
    """A client of one account, and what its library believes of the roster and of others' presence."""

    def __init__(self, client: Runner, account: Account, resource: str) -> None:
        self.client = client
        self.jid = account.jid
        self.full = f"{account.jid}/{resource}"

    def does(self, do: str, jid: str, **fields: Any) -> None:
        self.client.tell(do, jid=jid, **fields)

    def has(self, contact: str, **expected: Any) -> None:
        """Wait until the library's roster has the contact like this."""

        def fits() -> bool:
            rosters = self.client.all("roster")
            item = rosters[-1]["items"].get(contact) if rosters else None
            return item is not None and all(item[name] == value for name, value in expected.items())

        self.client.wait_until(fits, f"{contact} to be {expected}")

    def sees(self, full: str, type_: str = "available", status: str = "") -> None:
        """Wait until the library has told this presence."""

        def told() -> bool:
            found = [event for event in self.client.all("presence") if event["jid"] == full]
            return any((event["type"], event["status"] or "") == (type_, status) for event in found)

        self.client.wait_until(told, f"{full} to be {type_} {status}")


class Town:
    def __init__(self, server: Server, library: RosterLibrary, stack: ExitStack) -> None:
        self._server, self._library, self._stack = server, library, stack

    def person(self, account: Account | None = None, resource: str = "phone") -> Person:
        account = account or self._server.account()
        client = self._stack.enter_context(runner(cast(Library, self._library)))
        client.login(account, self._server.address(), resource)
        return Person(client, account, resource)


@contextmanager
def a_town(server: Server, library: RosterLibrary) -> Iterator[Town]:
    with ExitStack() as stack:
        yield Town(server, library, stack)


def befriend(one: Person, two: Person) -> None:
    for a, b in ((one, two), (two, one)):
        a.does("subscribe", b.jid)
        b.client.wait_until(lambda a=a, b=b: a.jid in [e["by"] for e in b.client.all("asked")], "the request")
        b.does("approve", a.jid)
        a.client.wait_until(
            lambda a=a, b=b: (
                bool(a.client.all("roster"))
                and a.client.all("roster")[-1]["items"].get(b.jid, {}).get("subscription") in ("to", "both")
            ),
            "the approval",
        )


def test_two_people_subscribe_both_ways_and_see_each_other(server: Server, library: RosterLibrary) -> None:
    with a_town(server, library) as town:
        romeo, juliet = town.person(), town.person()
        befriend(romeo, juliet)

        romeo.has(juliet.jid, subscription="both", ask=False)
        juliet.has(romeo.jid, subscription="both", ask=False)
        romeo.sees(juliet.full)
        juliet.sees(romeo.full)

        romeo.client.tell("say", status="under the balcony")
        juliet.sees(romeo.full, status="under the balcony")

        romeo.client.tell("quit")
        juliet.sees(romeo.full, "unavailable")


def test_a_second_device_is_told_of_every_change_and_meets_everybody(server: Server, library: RosterLibrary) -> None:
    with a_town(server, library) as town:
        account = server.account()
        romeo, phone = town.person(), town.person(account)
        befriend(romeo, phone)
        laptop = town.person(account, "laptop")

        laptop.sees(romeo.full)
        laptop.sees(phone.full)
        romeo.sees(laptop.full)
        phone.sees(laptop.full)

        phone.does("set", romeo.jid, name="Romeo & co", groups=["Montague", "a <b>"])
        laptop.has(romeo.jid, name="Romeo & co", groups=["Montague", "a <b>"], subscription="both")
        phone.has(romeo.jid, name="Romeo & co")

        laptop.does("remove", romeo.jid)
        phone.client.wait_until(
            lambda: romeo.jid not in phone.client.all("roster")[-1]["items"], "the contact to be gone"
        )
        romeo.has(phone.jid, subscription="none")


def test_a_request_waits_for_who_is_away(server: Server, library: RosterLibrary) -> None:
    with a_town(server, library) as town:
        account = server.account()
        romeo = town.person()
        romeo.does("subscribe", account.jid)
        romeo.has(account.jid, subscription="none", ask=True)

        juliet = town.person(account)

        assert romeo.jid == juliet.client.wait("asked")["by"]
