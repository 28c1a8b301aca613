"""Providers that cannot be reached at all, and a token endpoint that fails while messages would be taken."""

import socket
import ssl
from typing import Literal

import gevent
import pytest

from tests.sandbox.clients import (
    ApnsClient,
    access_token,
    ask_for_access_token,
    assertion,
    control,
    headers_for,
    http_request,
    provider_token,
    send_to_fcm,
)
from tests.sandbox.fcm_client import FcmClient
from workers.sandbox.server import Sandbox

Provider = Literal["apns", "fcm"]


def let(sandbox: Sandbox, provider: Provider, door: str) -> None:
    assert 200 == control(sandbox, "POST", "/control/settings", {f"{provider}_connections": door}).status


def connects(sandbox: Sandbox, provider: Provider, timeout_s: float = 20.0) -> bool:
    """Whether TLS is established. Raises TimeoutError if nothing happens."""
    host, port = sandbox.addresses[provider].rsplit(":", 1)
    context = ssl.create_default_context(cafile=str(sandbox.material.ca_file))
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port)), timeout=timeout_s) as plain:
        try:
            context.wrap_socket(plain, server_hostname="localhost").close()
        except TimeoutError:
            raise
        except OSError:
            return False
        return True


@pytest.mark.parametrize("provider", ["apns", "fcm"])
def test_connections_can_be_refused_and_be_served_again(sandbox: Sandbox, provider: Provider) -> None:
    let(sandbox, provider, "refused")
    during = connects(sandbox, provider)
    let(sandbox, provider, "served")

    assert not during
    assert connects(sandbox, provider)
    assert 1 == sandbox.stats()[f"{provider}_connections_refused"]


@pytest.mark.parametrize("provider", ["apns", "fcm"])
def test_connections_can_hang_and_go_on(sandbox: Sandbox, provider: Provider) -> None:
    let(sandbox, provider, "hanging")
    with pytest.raises(TimeoutError):
        connects(sandbox, provider, 0.3)
    waiting = gevent.spawn(connects, sandbox, provider)
    gevent.sleep(0.2)
    was_waiting = not waiting.ready()
    let(sandbox, provider, "served")

    assert was_waiting
    assert waiting.get(timeout=20)


def test_the_other_provider_works_on(sandbox: Sandbox) -> None:
    let(sandbox, "apns", "hanging")

    assert 200 == send_to_fcm(sandbox, {"message": {"token": "device"}}).status


def test_open_connections_break_when_connections_are_refused(sandbox: Sandbox) -> None:
    token = access_token(sandbox)
    with ApnsClient(sandbox) as apple, FcmClient(sandbox, token) as google:
        apple.push(headers_for(provider_token(sandbox)))
        google.send("device")
        let(sandbox, "apns", "refused")
        let(sandbox, "fcm", "refused")
        apple.read_to_end()
        google.read_to_end()

    assert not apple.goaways
    assert not google.goaways


def test_an_open_connection_of_http_1_1_breaks_as_well(sandbox: Sandbox) -> None:
    host, port = sandbox.addresses["fcm"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(10_000).startswith(b"HTTP/1.1 404")
        let(sandbox, "fcm", "refused")
        try:
            end = sock.recv(10_000)
        except ConnectionError:
            end = b""

    assert b"" == end


def test_the_token_endpoint_can_fail_while_messages_are_taken(sandbox: Sandbox) -> None:
    token = access_token(sandbox)
    control(sandbox, "POST", "/control/fcm/token-endpoint", {"status": 503, "retry_after_s": 4, "times": 1})
    failed = ask_for_access_token(sandbox, assertion(sandbox))
    sent = send_to_fcm(sandbox, {"message": {"token": "device"}}, token=token)
    after = ask_for_access_token(sandbox, assertion(sandbox))

    assert (503, "4", "internal_failure") == (failed.status, failed.headers["Retry-After"], failed.json()["error"])
    assert [200, 200] == [sent.status, after.status]


def test_the_token_endpoint_can_name_a_reason_answer_in_html_or_break_off(sandbox: Sandbox) -> None:
    sandbox.arm_token_endpoint(reason="invalid_grant", status=400, times=1)
    named = ask_for_access_token(sandbox, assertion(sandbox))
    sandbox.arm_token_endpoint(status=502, times=1)
    page = ask_for_access_token(sandbox, assertion(sandbox))
    sandbox.arm_token_endpoint(action="close", times=1)
    with pytest.raises(ConnectionError):
        ask_for_access_token(sandbox, assertion(sandbox))

    assert (400, "invalid_grant") == (named.status, named.json()["error"])
    assert (502, True) == (page.status, b"<html" in page.body)
    assert 200 == ask_for_access_token(sandbox, assertion(sandbox)).status


def test_the_token_endpoint_can_be_slow_and_right(sandbox: Sandbox) -> None:
    sandbox.arm_token_endpoint(delay_s=0.2, times=1)

    assert 200 == ask_for_access_token(sandbox, assertion(sandbox)).status


def test_faults_of_the_token_endpoint_are_listed_and_disarmed(sandbox: Sandbox) -> None:
    sandbox.arm_token_endpoint(status=503)
    listed = control(sandbox, "GET", "/control/faults").json()["faults"]
    disarmed = http_request(sandbox, "control", "DELETE", "/control/fcm/token-endpoint").json()

    assert ["oauth"] == [fault["provider"] for fault in listed]
    assert {"disarmed": 1} == disarmed
