"""How far a URL that a user gave leads: to the open internet, and to nothing that only we can reach."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from gevent.server import StreamServer

from tests.push.builders import a_browser_app, a_web_push
from tests.push.name_server import name_server
from workers.push.breaker import BreakerRules
from workers.push.notification import Push
from workers.push.outcome import Delivered, Later, Refused
from workers.push.providers.webpush import dial
from workers.push.providers.webpush.addresses import is_public
from workers.push.providers.webpush.client import Client
from workers.push.providers.webpush.dial import Dialer
from workers.push.providers.webpush.endpoint import EndpointError
from workers.push.providers.webpush.names import Lookup, PublicNames, UnknownHostError
from workers.push.providers.webpush.provider import WebPushProvider
from workers.push.providers.webpush.services import ServiceRules
from workers.push.providers.webpush.settings import Identity
from workers.sandbox.server import Sandbox


@contextmanager
def a_provider(sandbox: Sandbox, lookup: Lookup | None = None, **fields: Any) -> Iterator[WebPushProvider]:
    """As a server on the open internet has it, but for who answers questions about names."""
    app = a_browser_app(sandbox, **{"allow_private": False, **fields})
    client = Client(
        Identity.of(app), rules=ServiceRules(), connect_timeout_s=5.0, breaker_rules=BreakerRules(), lookup=lookup
    )
    provider = WebPushProvider(app, client, request_timeout_s=10.0)
    yield provider
    provider.close()


@contextmanager
def a_listener(host: str) -> Iterator[tuple[int, list[Any]]]:
    """A server that counts who connects, and says nothing."""
    visits: list[Any] = []

    def serve(sock: Any, address: Any) -> None:
        visits.append(address)
        sock.close()

    server = StreamServer((host, 0), serve)
    server.start()
    yield server.server_port, visits
    server.stop(timeout=1)


def at(sandbox: Sandbox, host: str, **fields: Any) -> Push:
    """A push for a browser at the sandbox, under another name of it."""
    push = a_web_push(sandbox)
    return a_web_push(sandbox, token=push.token.replace("//127.0.0.1:", f"//{host}:"), registration=push.registration)


PRIVATE = ["127.0.0.1", "[::1]", "10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]", "[fe80::1]", "100.64.0.1"]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_is_not_asked(sandbox: Sandbox, host: str) -> None:
    with a_provider(sandbox) as provider:
        outcome = provider.send(at(sandbox, host))

    assert Refused("endpoint address not public", alert=False) == outcome
    assert [] == sandbox.record.since()


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["2606:4700::1111", "10.0.0.1"]]
)
def test_a_name_that_leads_to_a_private_address_among_others_is_not_asked(
    sandbox: Sandbox, addresses: list[str]
) -> None:
    with name_server() as server:
        server.names["push.example"] = addresses
        with a_provider(sandbox, PublicNames(server.resolver())) as provider:
            outcome = provider.send(at(sandbox, "push.example"))

    assert Refused("endpoint address not public", alert=False) == outcome
    assert [] == sandbox.record.since()


def test_a_name_that_changes_between_check_and_connection_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the first answer is good, every later one leads inside."""
    monkeypatch.setattr(dial, "is_public", lambda address: address == "127.0.0.2" or is_public(address))
    answers = iter([["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1"]])
    reach = Dialer(lambda _host, _timeout_s: next(answers), allow_private=False)
    with a_listener("127.0.0.1") as (port, visits):
        outside = StreamServer(("127.0.0.2", port), lambda sock, _: sock.close())
        outside.start()
        with reach("push.example", port, 5.0) as sock:
            peer = sock.getpeername()
        with pytest.raises(EndpointError):
            reach("push.example", port, 5.0)
        outside.stop(timeout=1)

    assert ("127.0.0.2", port) == peer
    assert [] == visits


def test_each_connection_has_one_lookup_and_goes_to_what_it_found_under_the_endpoints_name(sandbox: Sandbox) -> None:
    asked: list[str] = []

    def lookup(host: str, _timeout_s: float) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with a_provider(sandbox, lookup, allow_private=True) as provider:
        outcomes = [provider.send(at(sandbox, "localhost")) for _ in range(3)]
    port = sandbox.addresses["webpush"].rpartition(":")[2]

    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert ["localhost"] == asked
    assert {f"localhost:{port}"} == {received.headers["host"] for received in sandbox.record.since()}


def test_a_certificate_for_another_name_is_not_accepted_and_no_name_is_told(sandbox: Sandbox) -> None:
    with a_provider(sandbox, lambda _host, _timeout_s: ["127.0.0.1"], allow_private=True) as provider:
        outcome = provider.send(at(sandbox, "push.example"))

    assert isinstance(outcome, Later)
    assert "the certificate is not valid for this host" in outcome.reason
    assert "push.example" not in outcome.reason
    assert [] == sandbox.record.since()


def test_a_certificate_that_nobody_signed_is_not_accepted(sandbox: Sandbox) -> None:
    with a_provider(sandbox, allow_private=True, ca_file="") as provider:
        outcome = provider.send(a_web_push(sandbox))

    assert isinstance(outcome, Later)
    assert "the certificate is not valid" in outcome.reason


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(sandbox: Sandbox, status: int) -> None:
    push = a_web_push(sandbox)
    with a_listener("127.0.0.1") as (port, visits), a_provider(sandbox, allow_private=True) as provider:
        sandbox.arm_webpush(push.token, status=status, location=f"http://127.0.0.1:{port}/")
        outcome = provider.send(push)
        gevent.sleep(0)

    assert Refused(f"redirect {status}", alert=False) == outcome
    assert [] == visits
    assert 1 == len(sandbox.record.since())


def test_names_are_asked_for_by_dns_in_both_families() -> None:
    with name_server() as server:
        server.names["push.example"] = ["192.0.2.7", "192.0.2.8", "2001:db8::7"]
        found = PublicNames(server.resolver())("push.example", 5.0)

    assert {"192.0.2.7", "192.0.2.8", "2001:db8::7"} == set(found)


@pytest.mark.parametrize("host", ["nobody.example", "empty.example", "x" * 64 + ".example", "a..example"])
def test_a_name_without_an_address_is_no_secret_kept_but_no_name_told_either(host: str) -> None:
    with name_server() as server:
        server.names["empty.example"] = []
        with pytest.raises(UnknownHostError) as caught:
            PublicNames(server.resolver())(host, 5.0)

    assert "example" not in str(caught.value)


def test_name_servers_that_do_not_answer_keep_nobody_else_waiting() -> None:
    """getaddrinfo would hold one of the few threads that all lookups share."""
    with name_server() as server:
        server.silent = {f"silent-{number}.example" for number in range(30)}
        server.names["push.example"] = ["192.0.2.7"]
        names = PublicNames(server.resolver())
        stuck = [gevent.spawn(names, host, 30.0) for host in server.silent]
        gevent.sleep(0.05)
        found = names("push.example", 20.0)
        are_waiting = [not greenlet.ready() for greenlet in stuck]
        gevent.killall(stuck)
        gevent.joinall(stuck)

    assert ["192.0.2.7"] == found
    assert all(are_waiting)


def test_a_lookup_ends_in_time() -> None:
    with name_server() as server:
        server.silent = {"push.example"}
        started = time.monotonic()
        with pytest.raises(UnknownHostError, match="do not answer"):
            PublicNames(server.resolver())("push.example", 0.3)

    assert time.monotonic() - started < 15


def test_the_next_address_is_tried_when_one_does_not_answer(sandbox: Sandbox) -> None:
    def lookup(_host: str, _timeout_s: float) -> list[str]:
        return ["127.0.0.3", "127.0.0.1"]

    with a_provider(sandbox, lookup, allow_private=True) as provider:
        outcome = provider.send(at(sandbox, "localhost"))

    assert isinstance(outcome, Delivered)


def test_an_address_that_swallows_everything_leaves_time_for_the_next() -> None:
    """Its queue of connections is full, so that nothing answers the next one."""
    with a_listener("127.0.0.1") as (port, _), socket.socket() as full:
        full.bind(("127.0.0.4", port))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.4", port))
        reach = Dialer(lambda _host, _timeout_s: ["127.0.0.4", "127.0.0.1"], allow_private=True)
        started = time.monotonic()
        with reach("push.example", port, 2.0) as sock:
            peer = sock.getpeername()
        for one in waiting:
            one.close()

    assert ("127.0.0.1", port) == peer
    assert 0.9 <= time.monotonic() - started < 20


def test_both_families_get_their_turn(sandbox: Sandbox) -> None:
    port = int(sandbox.addresses["webpush"].rpartition(":")[2])
    reach = Dialer(lambda _host, _timeout_s: [*["::1"] * 8, "127.0.0.1"], allow_private=True)
    with reach("push.example", port, 5.0) as sock:
        assert "127.0.0.1" == sock.getpeername()[0]


def test_a_host_that_refuses_connections_is_asked_later_and_not_named(sandbox: Sandbox) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        push = a_web_push(sandbox, token=f"https://127.0.0.1:{unused.getsockname()[1]}/secret")
        with a_provider(sandbox, allow_private=True) as provider:
            outcome = provider.send(push)

    assert isinstance(outcome, Later)
    assert "Connection refused" in outcome.reason
    assert not [word for word in ("127.0.0.1", "secret") if word in outcome.reason]
