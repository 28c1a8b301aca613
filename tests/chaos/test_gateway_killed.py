"""kill -9 of the gateway: what was acknowledged to its sender arrives, once and in order."""

from collections.abc import Iterator
from contextlib import ExitStack

import gevent
import pytest
from gevent.pool import Pool

from gateway.demo.client import Client
from gateway.demo.stream import ServerSilent, StreamEnded, Unexpected
from tests.support.phone import Phone, close_phones, failed_condition, online
from tests.support.processes import Account, Server, running
from tests.support.runners import runner

SESSIONS = 200
UNACKED = 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("chaos")) as server:
        yield server


def resume_when_it_is_back(client: Client, timeout_s: float = 30.0) -> None:
    """Tries until the server lets the client resume, as phones do."""
    with gevent.Timeout(timeout_s, ServerSilent(f"{client.username} could not resume")):
        while True:
            try:
                return client.resume()
            except (StreamEnded, Unexpected):
                gevent.sleep(0.1)


@pytest.mark.slow
def test_two_hundred_sessions_with_ten_unacknowledged_messages_each_all_resume_and_lose_none(server: Server) -> None:
    accounts, sender_account = server.add_accounts(SESSIONS), server.account()
    phones = [server.client(account, resource="phone") for account in accounts]
    sender = server.client(sender_account)
    with ExitStack() as stack:
        for client in (*phones, sender):
            stack.callback(client.cut)
        pool = Pool(20)
        pool.map(lambda phone: phone.login(), phones)
        sender.login()
        for phone in phones:
            phone.freeze()
        for number in range(UNACKED):
            for phone in phones:
                sender.send_message(phone.jid, f"m{number}")
        sender.wait_accepted(60)

        server.kill("gateway")
        for phone in phones:
            phone.cut()
        pool.map(resume_when_it_is_back, phones)
        for phone in phones:
            phone.wait_messages(UNACKED, 30)

    expected = [f"m{number}" for number in range(UNACKED)]
    assert [] == [phone.username for phone in phones if [message.body for message in phone.messages] != expected]


@pytest.mark.slow
def test_slixmpp_resumes_after_the_gateway_was_killed_and_has_every_message(server: Server) -> None:
    with runner("slixmpp") as phone, ExitStack() as stack:
        account = server.account()
        phone.login(account, server.address())
        friend = server.client(server.account())
        stack.callback(friend.cut)
        friend.login()
        for number in range(30):
            if number % 10 == 5:
                server.kill("gateway")
                resume_when_it_is_back(friend)
            friend.send_message(f"{account.jid}/phone", f"m{number}")
        friend.wait_accepted()
        phone.wait("message", 30)

        assert [f"m{number}" for number in range(30)] == phone.bodies
        assert [] == phone.all("failed")


def test_a_session_that_had_ended_still_fails_with_its_h_after_a_crash(server: Server) -> None:
    client = server.client(server.account()).login()
    client.wait_accepted()
    handled = client.acks.acked if client.acks else -1
    client.close()
    server.kill("gateway")
    server.wait_accepting()

    phone = Phone(server, Account(client.username))
    failed = phone.resume(client.session_id, 0)
    close_phones()

    assert ("item-not-found", str(handled)) == (failed_condition(failed), failed.get("h"))


@pytest.mark.slow
def test_what_was_taken_before_the_kill_is_known_and_what_is_new_is_not_taken_for_it(
    server: Server,
) -> None:
    romeo = Phone(server, server.account()).bind()
    previd = romeo.enable().get("id", "")
    juliet = online(server, server.account())
    romeo.message(juliet.jid, "taken")
    first = juliet.bodies(1)
    server.kill("gateway")
    server.wait_accepting()

    again = Phone(server, romeo.account)
    resumed = again.resume(previd, 0)
    again.message(juliet.jid, "new")
    handled = again.handled()
    back = Phone(server, juliet.account)
    back.resume(juliet.session_id, juliet.inbound)

    assert ("1", 2) == (resumed.get("h"), handled)
    assert ["taken"] == first
    assert ["new"] == back.bodies(1)
