"""APNs: how often a device may be pushed to and a token made, and what tells a storm of connections."""

from pathlib import Path

from tests.sandbox.clients import DEVICE, ApnsClient, headers_for, provider_token
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.server import Addresses, Sandbox

OTHER_DEVICE = "b2" * 32


def test_too_many_requests_are_counted_for_each_device(sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(apns_device_per_minute=3)
    sandbox.clock.stop()
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        replies = [client.push(headers) for _ in range(4)]
        other = client.push(headers, device=OTHER_DEVICE)
        sandbox.clock.advance(21)
        again = client.push(headers)

    assert [200, 200, 200, 429] == [reply.status for reply in replies]
    assert "TooManyRequests" == replies[3].reason
    assert [200, 200] == [other.status, again.status]


def test_a_new_token_may_be_too_early_even_on_another_connection(sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(apns_token_updates_across_connections=True)
    first, second, third = (provider_token(sandbox, age_s=age) for age in (1800, 1700, 0))
    reasons = []
    for token in (first, second, first, third, first):
        with ApnsClient(sandbox) as client:
            reasons.append(client.push(headers_for(token)).reason)

    assert ["", "TooManyProviderTokenUpdates", "", "", ""] == reasons


def test_tokens_that_were_made_and_connections_in_a_minute_are_counted(sandbox: Sandbox) -> None:
    tokens = [provider_token(sandbox, age_s=age) for age in (1500, 0)]
    for number in range(6):
        with ApnsClient(sandbox) as client:
            client.push(headers_for(tokens[number % 2]))

    stats = sandbox.stats()
    assert (6, 6, 2) == (
        stats["apns_connections"],
        stats["apns_connections_peak_per_minute"],
        stats["apns_provider_tokens"],
    )


def test_one_name_with_two_addresses_shows_whether_a_client_looks_it_up_again(sandbox_dir: Path) -> None:
    """A test lets the name resolve to the one address, then to the other."""
    with Sandbox(sandbox_dir, Addresses.free(), second_host="127.0.0.2") as sandbox:
        headers = headers_for(provider_token(sandbox))
        with ApnsClient(sandbox) as client:
            client.push(headers)
        port = sandbox.addresses["apns"].rsplit(":", 1)[1]
        sandbox.addresses["apns"] = f"127.0.0.2:{port}"
        with ApnsClient(sandbox) as client:
            reply = client.push(headers, device=DEVICE)
        stats = sandbox.stats()

    assert 200 == reply.status
    assert (1, 1) == tuple(stats[f"apns_connections_to_127.0.0.{last}"] for last in (1, 2))
