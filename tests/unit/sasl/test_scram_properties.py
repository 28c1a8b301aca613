"""SCRAM under any input: client and server agree, and a damaged message is a SaslFailure, nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.xmpp.errors import SaslFailure
from gateway.xmpp.sasl import ScramClient, ScramServer
from gateway.xmpp.sasl.credentials import HashName, scram_keys
from gateway.xmpp.sasl.mechanisms import decode_initial
from gateway.xmpp.sasl.plain import parse
from gateway.xmpp.sasl.prepare import saslprep

nonces = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","), min_size=1)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=64)
hashes = st.sampled_from(["sha1", "sha256"])
SALT = b"0123456789abcdef"
PATIENT = settings(deadline=None)
"""PBKDF2 takes as long as a busy machine lets it."""

KEYS = {hash_name: scram_keys(hash_name, "pencil", SALT, 4096) for hash_name in ("sha1", "sha256")}


def the_server(hash_name: HashName, nonce: str, binding: bytes | None) -> ScramServer:
    bindings = {} if binding is None else {"tls-exporter": binding}
    return ScramServer(
        hash_name, plus=bool(bindings), nonce=nonce, channel_bindings=bindings, plus_offered=bool(bindings)
    )


@PATIENT
@given(hashes, texts, texts, nonces, nonces, st.none() | st.binary())
def test_client_and_server_agree(
    hash_name: HashName, username: str, password: str, client_nonce: str, server_nonce: str, binding: bytes | None
) -> None:
    try:
        prepared = saslprep(password)
    except ValueError:
        prepared = password = "pencil"
    client = ScramClient(
        hash_name,
        username=username,
        password=password,
        nonce=client_nonce,
        channel_binding=None if binding is None else ("tls-exporter", binding),
    )
    server = the_server(hash_name, server_nonce, binding)

    assert username == server.client_first(client.first())
    challenge = server.challenge(scram_keys(hash_name, prepared, SALT, 4096))
    client.check(server.client_final(client.final(challenge)))


@PATIENT
@given(hashes, st.data())
def test_a_damaged_message_is_refused_and_nothing_else_happens(hash_name: HashName, data: st.DataObject) -> None:
    client = ScramClient(hash_name, username="user", password="pencil", nonce="client")
    server = the_server(hash_name, "server", None)
    damaged = data.draw(st.integers(0, 3))

    def carry(number: int, message: bytes) -> bytes:
        return data.draw(mutations(message)) if number == damaged else message

    try:
        server.client_first(carry(0, client.first()))
        final = client.final(carry(1, server.challenge(KEYS[hash_name])))
        client.check(carry(3, server.client_final(carry(2, final))))
    except SaslFailure:
        return


@st.composite
def mutations(draw: st.DrawFn, message: bytes) -> bytes:
    start = draw(st.integers(0, len(message)))
    end = draw(st.integers(start, len(message)))
    return message[:start] + draw(st.binary(max_size=8)) + message[end:]


@given(st.binary())
def test_any_bytes_for_plain_are_read_or_refused(data: bytes) -> None:
    try:
        request = parse(data)
    except SaslFailure:
        return

    assert data == f"{request.authzid}\0{request.authcid}\0{request.password}".encode()


@given(st.text())
def test_any_text_of_an_auth_element_is_read_or_refused(text: str) -> None:
    try:
        decode_initial(text)
    except SaslFailure:
        return
