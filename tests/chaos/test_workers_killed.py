"""kill -9 of the push worker and of the sweeper: phones are woken, and expired sessions' messages come once."""

import json
import random
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from gateway.demo.requests import enable_push
from tests.support.processes import Server, running
from tests.support.sandbox import WITH_SANDBOX, accepted_pushes

PHONES = 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, arguments=WITH_SANDBOX) as server:
        yield server


def kill_again_and_again(server: Server, command: str, rng: random.Random, times: int) -> None:
    for _ in range(times):
        gevent.sleep(rng.uniform(0.05, 1.0))
        server.kill(command)


@pytest.mark.slow
def test_every_sleeping_phone_is_woken_though_the_push_worker_is_killed_again_and_again(server: Server) -> None:
    rng = random.Random(11)
    with ExitStack() as stack:
        phones = [server.client(account, resource="phone") for account in server.add_accounts(PHONES)]
        sender = server.client(server.account())
        for client in (*phones, sender):
            stack.callback(client.cut)
        tokens = {phone: secrets.token_hex(32) for phone in phones}
        for number, phone in enumerate(phones):
            phone.login()
            app = "demo-ios" if number % 2 else "demo-android"
            enable_push(phone, node=f"node{number}", app=app, token=tokens[phone])
            phone.cut()
        sender.login()

        killing = gevent.spawn(kill_again_and_again, server, "push", rng, 4)
        for phone in phones:
            sender.send_message(phone.jid, "wake up")
            gevent.sleep(rng.uniform(0, 0.2))
        sender.wait_accepted()
        killing.get()
        server.wait(lambda: all(accepted_pushes(server, token) for token in tokens.values()), "a push for each", 60)

        ids = {token: {push["push_id"] for push in accepted_pushes(server, token)} for token in tokens.values()}
        apple = [tokens[phone] for number, phone in enumerate(phones) if number % 2]
        for phone in phones:
            phone.resume()
            phone.wait_messages(1)

    assert dict.fromkeys(apple, 1) == {token: len(ids[token]) for token in apple}
    assert [["wake up"]] * PHONES == [[message.body for message in phone.messages] for phone in phones]


@pytest.mark.slow
def test_sessions_that_expire_while_the_sweeper_is_killed_keep_their_messages_once(server: Server) -> None:
    rng = random.Random(12)
    with ExitStack() as stack:
        accounts = server.add_accounts(PHONES)
        sender = server.client(server.account())
        stack.callback(sender.cut)
        sender.login()
        for account in accounts:
            phone = server.client(account, resource="phone").login(max_s=rng.choice([1, 2, 3]))
            for number in range(3):
                sender.send_message(phone.jid, f"m{number}")
            phone.cut()
        sender.wait_accepted()

        kill_again_and_again(server, "sweeper", rng, 5)
        server.wait(lambda: not sleeping(server), "every session to expire", 60)
        later = [server.client(account, resource="other") for account in accounts]
        for client in later:
            stack.callback(client.cut)
            client.login()
            client.wait_messages(3)
            client.wait_accepted()

    assert [["m0", "m1", "m2"]] * PHONES == [[message.body for message in client.messages] for client in later]
    assert all(message.delayed for client in later for message in client.messages)


def sleeping(server: Server) -> int:
    """Sessions that hibernate, of all accounts together."""
    return int(json.loads(server.command("status", "--json"))["sessions"]["sleeping"])
