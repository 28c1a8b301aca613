"""RFC 6120 §6: mechanisms and exchanges, as a negotiation sees them."""

import pytest

from gateway.xmpp.errors import SaslCondition, SaslFailure
from gateway.xmpp.sasl import (
    MECHANISMS,
    Challenge,
    Credentials,
    Exchange,
    NeedCredentials,
    ScramClient,
    Success,
    VerifyPassword,
    begin,
    decode_initial,
    decode_response,
    decoy,
    derive,
    encode_challenge,
    encode_success,
    offered,
)
from gateway.xmpp.sasl.plain import parse

BINDINGS = {"tls-server-end-point": b"hash of the certificate"}
ALL = tuple(MECHANISMS)


def known_account() -> Credentials:
    return derive("pencil", salt=b"0123456789abcdef", iterations=4096)


def start(name: str, names: tuple[str, ...] = ALL) -> Exchange:
    return begin(name, offered=names, nonce="3rfcNHYJY1ZVvWVs7j", channel_bindings=BINDINGS)


def a_client(name: str) -> ScramClient:
    return ScramClient(
        "sha256" if "256" in name else "sha1",
        username="user",
        password="pencil",
        nonce="fyko+d2lbbFgONRv9qkxdawL",
        channel_binding=next(iter(BINDINGS.items())) if name.endswith("-PLUS") else None,
    )


def refusal(action: object, *arguments: object) -> SaslCondition:
    with pytest.raises(SaslFailure) as caught:
        action(*arguments)  # type: ignore[operator]
    return caught.value.condition


def test_all_mechanisms_are_offered_inside_tls_the_strongest_first() -> None:
    names = offered(tls=True, tls_required=True, channel_bindings=BINDINGS)

    assert ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN") == names


def test_nothing_is_offered_before_tls_that_is_required() -> None:
    assert () == offered(tls=False, tls_required=True, channel_bindings={})


@pytest.mark.parametrize("tls", [True, False])
def test_without_a_channel_binding_no_plus_is_offered(tls: bool) -> None:
    names = offered(tls=tls, tls_required=False, channel_bindings={})

    assert ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN") == names


@pytest.mark.parametrize("name", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"])
@pytest.mark.parametrize("has_initial", [True, False])
def test_scram_asks_for_credentials_and_succeeds(name: str, has_initial: bool) -> None:
    client, exchange = a_client(name), start(name)
    if not has_initial:
        assert Challenge(b"") == exchange.step(None)
    asked = exchange.step(client.first())
    challenge = exchange.supply(known_account())
    assert isinstance(challenge, Challenge)
    success = exchange.step(client.final(challenge.data))
    assert isinstance(success, Success)
    assert success.data is not None
    client.check(success.data)

    assert NeedCredentials("user") == asked
    assert ("user", "") == (success.username, success.authzid)


def test_an_account_that_does_not_exist_fails_at_the_end_as_a_wrong_password_does() -> None:
    client, exchange = a_client("SCRAM-SHA-256"), start("SCRAM-SHA-256")
    exchange.step(client.first())
    challenge = exchange.supply(decoy("user", b"secret", iterations=4096))
    assert isinstance(challenge, Challenge)

    assert SaslCondition.NOT_AUTHORIZED == refusal(exchange.step, client.final(challenge.data))


@pytest.mark.parametrize("has_initial", [True, False])
def test_plain_asks_to_verify_and_succeeds(has_initial: bool) -> None:
    exchange = start("PLAIN")
    if not has_initial:
        assert Challenge(b"") == exchange.step(None)
    asked = exchange.step(b"user@host\0user\0pencil")
    success = exchange.verified(True)

    assert VerifyPassword("user", "pencil") == asked
    assert Success(None, "user", "user@host") == success


def test_plain_with_a_wrong_password_is_not_authorized_and_cannot_go_on() -> None:
    exchange = start("PLAIN")
    exchange.step(b"\0user\0pen")

    assert SaslCondition.NOT_AUTHORIZED == refusal(exchange.verified, False)
    assert SaslCondition.MALFORMED_REQUEST == refusal(exchange.verified, True)
    assert SaslCondition.MALFORMED_REQUEST == refusal(exchange.step, b"\0user\0pencil")


def test_a_password_does_not_show_in_a_representation() -> None:
    assert "pencil" not in repr(start("PLAIN").step(b"\0user\0pencil")) + repr(parse(b"\0user\0pencil"))


@pytest.mark.parametrize(
    "data", [b"", b"user", b"\0user", b"a\0b\0c\0d", b"\0\0pencil", b"\0user\0", b"\0\xff\0pencil"]
)
def test_malformed_plain_is_refused(data: bytes) -> None:
    assert SaslCondition.MALFORMED_REQUEST == refusal(parse, data)


@pytest.mark.parametrize("name", ["PLAIN", "SCRAM-SHA-1"])
def test_answers_that_were_not_asked_for_are_refused(name: str) -> None:
    exchange = start(name)

    assert SaslCondition.MALFORMED_REQUEST == refusal(exchange.supply, known_account())
    assert SaslCondition.MALFORMED_REQUEST == refusal(exchange.verified, True)


def test_a_scram_exchange_takes_nothing_after_its_end() -> None:
    client, exchange = a_client("SCRAM-SHA-1"), start("SCRAM-SHA-1")
    exchange.step(client.first())
    assert SaslCondition.MALFORMED_REQUEST == refusal(exchange.step, b"again")
    challenge = exchange.supply(known_account())
    assert isinstance(challenge, Challenge)
    assert SaslCondition.MALFORMED_REQUEST == refusal(exchange.step, None)
    exchange.step(client.final(challenge.data))

    assert SaslCondition.MALFORMED_REQUEST == refusal(exchange.step, client.first())


@pytest.mark.parametrize(("name", "names"), [("EXTERNAL", ALL), ("plain", ALL), ("PLAIN", ("SCRAM-SHA-1",))])
def test_a_mechanism_that_was_not_offered_is_invalid(name: str, names: tuple[str, ...]) -> None:
    assert SaslCondition.INVALID_MECHANISM == refusal(start, name, names)


def test_the_downgrade_check_knows_what_was_offered() -> None:
    first = b"y,,n=user,r=abc"
    asked = start("SCRAM-SHA-1", ("SCRAM-SHA-1", "PLAIN")).step(first)

    assert NeedCredentials("user") == asked
    assert SaslCondition.NOT_AUTHORIZED == refusal(start("SCRAM-SHA-1").step, first)


def test_an_initial_response_may_be_absent_or_empty() -> None:
    assert (None, b"", b"user") == (decode_initial(""), decode_initial("="), decode_initial("dXNlcg=="))


@pytest.mark.parametrize("text", ["=", "dXNlcg", "dXNl cg==", "dXNlcg==\n", "dXNlcg===", "*", "é", "dXNlcg==dXNlcg=="])
def test_bad_base64_is_incorrect_encoding(text: str) -> None:
    assert SaslCondition.INCORRECT_ENCODING == refusal(decode_response, text)


def test_what_is_sent_tells_no_data_from_empty_data() -> None:
    assert ("", "=", "dXNlcg==") == (encode_success(None), encode_success(b""), encode_success(b"user"))
    assert ("", b"") == (encode_challenge(b""), decode_response(encode_challenge(b"")))
