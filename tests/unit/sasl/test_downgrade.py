"""XEP-0474: somebody on the way who changes what the server offers is noticed, without channel binding as well."""

from __future__ import annotations

import pytest

from gateway.xmpp.errors import SaslCondition, SaslFailure
from gateway.xmpp.sasl import MECHANISMS, Challenge, NeedCredentials, ScramClient, Success, begin, derive
from gateway.xmpp.sasl.scram_message import advertised

ALL = tuple(MECHANISMS)
BINDINGS = {"tls-exporter": b"e" * 32, "tls-server-end-point": b"s" * 32}
KEYS = derive("pencil", salt=b"0123456789abcdef", iterations=4096)


def log_in(name: str, mechanisms: tuple[str, ...], types: tuple[str, ...], *, helped: bool = False) -> Success:
    """A client that saw these. `helped`: somebody takes the hash off the challenge."""
    client = ScramClient(
        "sha256", username="user", password="pencil", nonce="fyko+d2lbbFgONRv9qkxdawL", offered=(mechanisms, types)
    )
    exchange = begin(name, offered=ALL, nonce="3rfcNHYJY1ZVvWVs7j", channel_bindings=BINDINGS)
    assert isinstance(exchange.step(client.first()), NeedCredentials)
    challenge = exchange.supply(KEYS)
    assert isinstance(challenge, Challenge)
    data = challenge.data.rpartition(b",h=")[0] if helped else challenge.data
    done = exchange.step(client.final(data))
    assert isinstance(done, Success)
    client.check(done.data or b"")
    return done


def test_the_hash_is_that_of_the_standards_example() -> None:
    mechanisms, types = ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"], ["tls-server-end-point", "tls-exporter"]

    assert "G6k/rBLDqgOhRRaCuuatSDFkJ08=" == advertised("sha1", mechanisms, types)
    assert advertised("sha1", mechanisms, []) == advertised("sha1", mechanisms[::-1], [])
    assert advertised("sha1", mechanisms, []) != advertised("sha1", mechanisms, types)


def test_a_client_that_saw_what_was_offered_logs_in() -> None:
    assert "user" == log_in("SCRAM-SHA-256", ALL, tuple(BINDINGS)).username


@pytest.mark.parametrize(
    ("mechanisms", "types"),
    [(("SCRAM-SHA-256",), tuple(BINDINGS)), (ALL, ("tls-exporter",)), (ALL, ()), ((*ALL, "X-NEW"), tuple(BINDINGS))],
)
def test_a_client_that_saw_something_else_stops(mechanisms: tuple[str, ...], types: tuple[str, ...]) -> None:
    with pytest.raises(SaslFailure, match="changed what the server offers") as caught:
        log_in("SCRAM-SHA-256", mechanisms, types)

    assert SaslCondition.NOT_AUTHORIZED == caught.value.condition


def test_whoever_takes_the_hash_away_breaks_the_proof() -> None:
    with pytest.raises(SaslFailure) as caught:
        log_in("SCRAM-SHA-256", ("SCRAM-SHA-256",), (), helped=True)

    assert SaslCondition.NOT_AUTHORIZED == caught.value.condition


def test_a_client_that_knows_nothing_of_it_and_a_server_that_does_not_say_it_get_along() -> None:
    client = ScramClient("sha256", username="user", password="pencil", nonce="abc")

    assert client.final(b"r=abcdef,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=4096,x=new,h=anything")
    client = ScramClient("sha256", username="user", password="pencil", nonce="abc", offered=(ALL, ()))
    assert client.final(b"r=abcdef,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=4096,x=new")
