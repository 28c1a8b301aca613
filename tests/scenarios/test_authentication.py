"""RFC 6120, sections 5 to 7, RFC 5802: ways to log in over the wire, and ways not to."""

import pytest

from gateway.demo.sasl import start_sasl
from gateway.demo.stream import Address, ClientStream, StreamEnded, Unexpected, condition_of
from gateway.xmpp import ns
from tests.support.phone import stanza
from tests.support.processes import PASSWORD, Server, Tls

MECHANISMS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]


@pytest.mark.parametrize("tls", ["starttls", "direct"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_each_mechanism_logs_in(server: Server, tls: Tls, mechanism: str) -> None:
    stream = ClientStream(server.address(tls))
    try:
        stream.connect()
        features = stream.authenticate(server.account().name, PASSWORD, mechanism=mechanism)
    finally:
        stream.cut()

    assert features.find(f"{{{ns.BIND}}}bind") is not None
    assert features.find(f"{{{ns.SM}}}sm") is not None


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_is_refused_and_the_right_one_may_follow(server: Server, mechanism: str) -> None:
    account = server.account()
    stream = ClientStream(server.address())
    try:
        stream.connect()
        with pytest.raises(Unexpected, match="not-authorized"):
            stream.authenticate(account.name, "wrong", mechanism=mechanism)
        features = stream.authenticate(account.name, PASSWORD, mechanism=mechanism)
    finally:
        stream.cut()

    assert features.find(f"{{{ns.BIND}}}bind") is not None


def test_somebody_who_removed_the_plus_mechanisms_from_the_list_is_noticed(server: Server) -> None:
    stream = ClientStream(server.address())
    try:
        stream.connect()
        able_to_bind = start_sasl(["SCRAM-SHA-256"], server.account().name, PASSWORD, binding=("tls-unique", b"x"))
        answer = stream.request(able_to_bind.auth())
        while answer.tag == f"{{{ns.SASL}}}challenge":
            answer = stream.request(able_to_bind.respond(answer.text or ""))
    finally:
        stream.cut()

    assert (f"{{{ns.SASL}}}failure", "not-authorized") == (answer.tag, condition_of(answer))


def test_an_account_that_does_not_exist_fails_like_a_wrong_password(server: Server) -> None:
    stream = ClientStream(server.address())
    try:
        stream.connect()
        with pytest.raises(Unexpected, match="not-authorized"):
            stream.authenticate("nobody", PASSWORD)
    finally:
        stream.cut()


def test_before_tls_nothing_but_starttls_is_offered(server: Server) -> None:
    secure = server.address()
    stream = ClientStream(Address(secure.host, secure.port, tls="none"))
    try:
        features = stream.connect()
    finally:
        stream.cut()

    assert [f"{{{ns.STARTTLS}}}starttls"] == [feature.tag for feature in features]
    assert features[0].find(f"{{{ns.STARTTLS}}}required") is not None


@pytest.mark.parametrize("text", ["<presence/>", "<iq type='get' id='1'/>", "<message to='a@localhost'/>"])
def test_stanzas_before_authentication_end_the_stream(server: Server, text: str) -> None:
    stream = ClientStream(server.address())
    try:
        stream.connect()
        stream.send(text)
        with pytest.raises(StreamEnded) as ended:
            stream.expect(stanza("iq"))
    finally:
        stream.cut()

    assert "not-authorized" == ended.value.condition
