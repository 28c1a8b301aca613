"""RFC 5802 and RFC 7677: the server's side, by the RFCs' own vectors, and every way in which it refuses."""

import base64

import pytest

from gateway.xmpp.errors import SaslCondition, SaslFailure
from gateway.xmpp.sasl import ScramClient, ScramKeys, ScramServer
from gateway.xmpp.sasl.credentials import HashName, scram_keys

SHA1_FIRST = b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"
SHA1_CHALLENGE = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
SHA1_FINAL = b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
SHA1_SUCCESS = b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="
SHA256_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
SHA256_CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
SHA256_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SHA256_SUCCESS = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def the_server(
    hash_name: HashName = "sha256",
    *,
    nonce: str = "3rfcNHYJY1ZVvWVs7j",
    plus: bool = False,
    plus_offered: bool = False,
    channel_bindings: dict[str, bytes] | None = None,
) -> ScramServer:
    return ScramServer(
        hash_name, plus=plus, nonce=nonce, plus_offered=plus_offered, channel_bindings=channel_bindings or {}
    )


def a_client(hash_name: HashName = "sha256", **more: object) -> ScramClient:
    return ScramClient(hash_name, username="user", password="pencil", nonce="fyko+d2lbbFgONRv9qkxdawL", **more)  # type: ignore[arg-type]


def the_keys(hash_name: HashName = "sha256", salt: bytes = b"0123456789abcdef") -> ScramKeys:
    return scram_keys(hash_name, "pencil", salt, 4096)


def refusal_of_first(message: bytes, server: ScramServer | None = None) -> SaslCondition:
    with pytest.raises(SaslFailure) as caught:
        (server or the_server()).client_first(message)
    return caught.value.condition


def refusal_of_final(message: bytes) -> SaslCondition:
    server = the_server("sha1")
    server.client_first(SHA1_FIRST)
    server.challenge(the_keys("sha1", base64.b64decode("QSXCR+Q6sek8bf92")))
    with pytest.raises(SaslFailure) as caught:
        server.client_final(message)
    return caught.value.condition


def test_the_exchange_of_rfc_5802_section_5() -> None:
    server = the_server("sha1")
    username = server.client_first(SHA1_FIRST)
    challenge = server.challenge(the_keys("sha1", base64.b64decode("QSXCR+Q6sek8bf92")))
    success = server.client_final(SHA1_FINAL)

    assert ("user", SHA1_CHALLENGE, SHA1_SUCCESS) == (username, challenge, success)


def test_the_exchange_of_rfc_7677_section_3() -> None:
    server = the_server("sha256", nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    server.client_first(SHA256_FIRST)
    challenge = server.challenge(the_keys("sha256", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")))
    success = server.client_final(SHA256_FINAL)

    assert (SHA256_CHALLENGE, SHA256_SUCCESS) == (challenge, success)


def test_the_client_speaks_the_rfcs_exchanges_too() -> None:
    sha1 = a_client("sha1")
    sha256 = ScramClient("sha256", username="user", password="pencil", nonce="rOprNGfwEbeRWgbNEkqO")
    said = [sha1.first(), sha1.final(SHA1_CHALLENGE), sha256.first(), sha256.final(SHA256_CHALLENGE)]
    sha1.check(SHA1_SUCCESS)
    sha256.check(SHA256_SUCCESS)

    assert [SHA1_FIRST, SHA1_FINAL, SHA256_FIRST, SHA256_FINAL] == said


def test_a_name_with_a_comma_and_an_equals_sign_is_decoded() -> None:
    server = the_server()
    username = server.client_first(b"n,a=other=3Dname@host,n=us=2Cer=3D,r=abc")

    assert ("us,er=", "other=name@host") == (username, server.authzid)


def test_optional_extensions_are_passed_over() -> None:
    server = the_server()

    assert "user" == server.client_first(b"n,,n=user,r=abc,x=future")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=user",
        b"n,,n=,r=abc",
        b"n,,r=abc,n=user",
        b"n,,n=user,r=",
        b"n,,n=user,x=abc",
        b"n,,n=us=er,r=abc",
        b"n,,n=us=2cer,r=abc",
        b"n,,n=user,r=a b",
        b"n,,n=user,r=a\x7fb",
        "n,,n=user,r=é".encode(),
        b"n,,n=\xff\xfe,r=abc",
        b"n,,n=us\0er,r=abc",
        b"n,b=other,n=user,r=abc",
        b"n,,m=must,n=user,r=abc",
        b"q,,n=user,r=abc",
        b",,n=user,r=abc",
        b"p=,,n=user,r=abc",
        b"p=tls unique,,n=user,r=abc",
        b"p=tls-exporter,,n=user,r=abc",
        b"n,,n=user,r=" + b"a" * 8192,
    ],
)
def test_a_malformed_first_message_is_refused(message: bytes) -> None:
    assert SaslCondition.MALFORMED_REQUEST == refusal_of_first(message)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"c=biws",
        b"c=biws,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,c=biws,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        SHA1_FINAL.replace(b"biws", b"bi ws"),
        SHA1_FINAL.replace(b"HI4Ts=", b"HI4Ts"),
        SHA1_FINAL.replace(b"p=", b"q="),
        SHA1_FINAL + b",x=after-the-proof",
        b"c=\xff,r=a,p=b",
    ],
)
def test_a_malformed_final_message_is_refused(message: bytes) -> None:
    assert SaslCondition.MALFORMED_REQUEST == refusal_of_final(message)


@pytest.mark.parametrize(
    "message",
    [
        SHA1_FINAL.replace(b"p=v0X8", b"p=v0X9"),
        SHA1_FINAL.replace(b"p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", b"p=v0X8v3Bz"),
        SHA1_FINAL.replace(b"3rfc", b"4rfc"),
        SHA1_FINAL.replace(b"biws", b"eSws"),
        SHA1_FINAL.replace(b",p=", b",x=unsigned,p="),
    ],
)
def test_a_final_message_that_does_not_prove_the_password_is_not_authorized(message: bytes) -> None:
    assert SaslCondition.NOT_AUTHORIZED == refusal_of_final(message)


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
def test_plus_binds_to_the_channel(hash_name: HashName) -> None:
    binding = ("tls-exporter", b"the same on both ends")
    client = a_client(hash_name, channel_binding=binding, authzid="user@host")
    server = the_server(hash_name, plus=True, plus_offered=True, channel_bindings=dict([binding]))
    server.client_first(client.first())
    success = server.client_final(client.final(server.challenge(the_keys(hash_name))))
    client.check(success)

    assert "user@host" == server.authzid


def test_a_channel_that_somebody_else_ends_is_not_authorized() -> None:
    client = a_client(channel_binding=("tls-exporter", b"the client's end"))
    server = the_server(plus=True, plus_offered=True, channel_bindings={"tls-exporter": b"the server's end"})
    server.client_first(client.first())
    final = client.final(server.challenge(the_keys()))
    with pytest.raises(SaslFailure) as caught:
        server.client_final(final)

    assert SaslCondition.NOT_AUTHORIZED == caught.value.condition


def test_an_unknown_channel_binding_type_is_not_authorized() -> None:
    server = the_server(plus=True, plus_offered=True, channel_bindings={"tls-exporter": b"x"})

    assert SaslCondition.NOT_AUTHORIZED == refusal_of_first(b"p=tls-unique,,n=user,r=abc", server)


@pytest.mark.parametrize("flag", [b"n", b"y"])
def test_plus_without_channel_binding_is_malformed(flag: bytes) -> None:
    server = the_server(plus=True, plus_offered=True, channel_bindings={"tls-exporter": b"x"})

    assert SaslCondition.MALFORMED_REQUEST == refusal_of_first(flag + b",,n=user,r=abc", server)


def test_a_client_that_saw_no_plus_though_it_was_offered_has_been_tampered_with() -> None:
    first = a_client(saw_no_plus=True).first()

    assert SaslCondition.NOT_AUTHORIZED == refusal_of_first(first, the_server(plus_offered=True))


def test_a_client_that_could_bind_logs_in_where_plus_is_not_offered() -> None:
    client = a_client(saw_no_plus=True)
    server = the_server()
    server.client_first(client.first())

    client.check(server.client_final(client.final(server.challenge(the_keys()))))


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"r=fyko+d2lbbFgONRv9qkxdawLxyz,s=QSXCR+Q6sek8bf92",
        b"e=other-error,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=fyko+d2lbbFgONRv9qkxdawLxyz,s=!,i=4096",
        b"r=fyko+d2lbbFgONRv9qkxdawLxyz,s=QSXCR+Q6sek8bf92,i=many",
        b"r=fyko+d2lbbFgONRv9qkxdawLxyz,s=QSXCR+Q6sek8bf92,i=" + b"9" * 5000,
    ],
)
def test_the_client_refuses_a_malformed_challenge(challenge: bytes) -> None:
    with pytest.raises(SaslFailure) as caught:
        a_client().final(challenge)

    assert SaslCondition.MALFORMED_REQUEST == caught.value.condition


@pytest.mark.parametrize(
    "challenge",
    [
        b"r=another-nonce-altogether,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=fyko+d2lbbFgONRv9qkxdawL xyz,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=fyko+d2lbbFgONRv9qkxdawLxyz,s=QSXCR+Q6sek8bf92,i=4095",
        b"r=fyko+d2lbbFgONRv9qkxdawLxyz,s=QSXCR+Q6sek8bf92,i=1000001",
    ],
)
def test_the_client_refuses_a_challenge_it_cannot_trust(challenge: bytes) -> None:
    with pytest.raises(SaslFailure) as caught:
        a_client().final(challenge)

    assert SaslCondition.NOT_AUTHORIZED == caught.value.condition


def test_the_client_refuses_a_server_that_does_not_know_the_account() -> None:
    client = a_client("sha1")
    client.final(SHA1_CHALLENGE)
    with pytest.raises(SaslFailure) as caught:
        client.check(b"v=AAAApqV8S7suAoZWja4dJRkFsKQ=")

    assert SaslCondition.NOT_AUTHORIZED == caught.value.condition


def test_the_client_says_which_password_it_cannot_use() -> None:
    client = ScramClient("sha1", username="user", password="a\x07bell", nonce="fyko+d2lbbFgONRv9qkxdawL")
    with pytest.raises(SaslFailure, match=r"U\+0007"):
        client.final(SHA1_CHALLENGE)
