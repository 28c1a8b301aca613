"""slixmpp and aioxmpp as they are: they chat, lose their link, resume, and have every message once and in order."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import pytest

from gateway.demo.client import Client
from tests.support.processes import Server, Tls
from tests.support.proxy import Proxy, proxy_to
from tests.support.runners import Library, Runner, runner

pytestmark = pytest.mark.parametrize("library", ["slixmpp", "aioxmpp"])


@dataclass(frozen=True, slots=True)
class Pair:
    """The library's client behind a proxy, and one of our own that talks with it."""

    phone: Runner
    proxy: Proxy
    friend: Client
    phone_jid: str


@contextmanager
def a_pair(server: Server, library: Library, tls: Tls = "starttls") -> Iterator[Pair]:
    account, friend_account = server.account(), server.account()
    address = server.address(tls)
    with ExitStack() as stack:
        proxy = stack.enter_context(proxy_to(address.port))
        phone = stack.enter_context(runner(library))
        friend = server.client(friend_account)
        stack.callback(friend.cut)
        friend.login()
        phone.login(account, replace(address, port=proxy.port))
        yield Pair(phone, proxy, friend, f"{account.jid}/phone")


def say(pair: Pair, first: int, last: int) -> None:
    """The friend sends numbered messages and waits until the server has them."""
    for number in range(first, last):
        pair.friend.send_message(pair.phone_jid, f"m{number}")
    pair.friend.wait_accepted()


def numbered(count: int) -> list[str]:
    return [f"m{number}" for number in range(count)]


@pytest.mark.parametrize("tls", ["starttls", "direct"])
def test_it_logs_in_and_chats(server: Server, library: Library, tls: Tls) -> None:
    with a_pair(server, library, tls) as pair:
        say(pair, 0, 10)
        pair.phone.wait("message", 10)
        for number in range(10):
            pair.phone.send(pair.friend.jid, f"m{number}", f"id{number}")
        pair.friend.wait_messages(10)

        assert numbered(10) == pair.phone.bodies
        assert numbered(10) == [message.body for message in pair.friend.messages]


@pytest.mark.parametrize("tls", ["starttls", "direct"])
def test_it_resumes_after_a_cut_and_has_every_message_once_in_order(server: Server, library: Library, tls: Tls) -> None:
    with a_pair(server, library, tls) as pair:
        say(pair, 0, 10)
        pair.phone.wait("message", 10)

        for round_number in range(1, 4):
            pair.proxy.refusing = True
            pair.proxy.cut(reset=round_number % 2 == 0)
            pair.phone.wait("lost", round_number)
            say(pair, 10 * round_number, 10 * round_number + 10)
            pair.proxy.refusing = False
            pair.phone.wait("resumed", round_number)
            pair.phone.wait("message", 10 * round_number + 10)

        assert numbered(40) == pair.phone.bodies
        assert [] == pair.phone.all("failed")


def test_it_resumes_after_a_frozen_link_and_has_every_message_once_in_order(server: Server, library: Library) -> None:
    with a_pair(server, library) as pair:
        say(pair, 0, 5)
        pair.phone.wait("message", 5)

        for round_number in range(1, 4):
            pair.proxy.freeze()
            say(pair, 5 * round_number, 5 * round_number + 5)
            pair.proxy.cut(server=False)
            pair.proxy.thaw()
            pair.phone.wait("resumed", round_number)
            pair.phone.wait("message", 5 * round_number + 5)

        assert numbered(20) == pair.phone.bodies
        assert [] == pair.phone.all("failed")


def test_a_link_frozen_for_a_while_goes_on_where_it_was(server: Server, library: Library) -> None:
    with a_pair(server, library) as pair:
        pair.proxy.freeze(up=False)
        say(pair, 0, 20)
        pair.proxy.thaw()
        pair.phone.wait("message", 20)

        assert numbered(20) == pair.phone.bodies
        assert [] == pair.phone.all("lost")


def test_what_it_sends_while_links_break_arrives_once_in_order(server: Server, library: Library) -> None:
    with a_pair(server, library) as pair:
        for number in range(12):
            pair.phone.send(pair.friend.jid, f"m{number}", f"id{number}")
            pair.friend.wait_messages(number + 1)
            if number % 4 == 1:
                pair.proxy.cut()
                pair.phone.wait("resumed", number // 4 + 1)

        assert numbered(12) == [message.body for message in pair.friend.messages]


def test_what_it_sent_into_a_frozen_link_arrives_once(server: Server, library: Library) -> None:
    with a_pair(server, library) as pair:
        pair.proxy.freeze(up=False)
        for number in range(5):
            pair.phone.send(pair.friend.jid, f"up{number}", f"up{number}")
        pair.friend.wait_messages(5)
        pair.proxy.cut()
        pair.proxy.thaw()
        pair.phone.wait("resumed")
        pair.proxy.freeze(down=False)
        before = pair.proxy.up_bytes
        pair.phone.send(pair.friend.jid, "last", "last")
        # A library that is handed a message while it has no link may drop it: it has to be on its way.
        server.wait(
            lambda: pair.proxy.up_bytes > before + len("<message type='chat'><body>last</body></message>"), "it"
        )
        pair.proxy.cut()
        pair.proxy.thaw()
        pair.phone.wait("resumed", 2)
        pair.friend.wait_messages(6)

        assert [*(f"up{number}" for number in range(5)), "last"] == [message.body for message in pair.friend.messages]
