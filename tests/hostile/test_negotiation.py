"""RFC 6120, sections 5 to 7: clients that take the steps to a session in the wrong order, or too often."""

import base64

import pytest

from gateway.demo.stream import ClientStream, StreamEnded, condition_of
from gateway.xmpp import ns
from tests.hostile.raw import HEADER, Stranger, conditions
from tests.support.phone import Phone, failed_condition, online, sm, stanza
from tests.support.pieces import Pieces
from tests.support.processes import PASSWORD, Account

IQ = stanza("iq")


def encrypted(house: Pieces) -> ClientStream:
    """A stream inside TLS, not authenticated."""
    stream = ClientStream(house.address("direct"), timeout_s=10)
    stream.connect()
    return stream


def auth(mechanism: str, text: str = "=") -> str:
    return f"<auth xmlns='{ns.SASL}' mechanism='{mechanism}'>{text}</auth>"


def plain(account: Account, password: str = PASSWORD, authzid: str = "") -> str:
    return auth("PLAIN", base64.b64encode(f"{authzid}\0{account.name}\0{password}".encode()).decode())


def ended_with(stream: ClientStream) -> str:
    """The condition of the stream error that comes next."""
    with pytest.raises(StreamEnded) as ended:
        stream.expect("nothing")
    return ended.value.condition


# STARTTLS


def test_what_is_sent_ahead_of_the_handshake_is_never_read(house: Pieces) -> None:
    """The injection of CVE-2011-0411: an attacker's bytes before the handshake must not count as the client's."""
    account = house.account()
    stranger = Stranger(house).send(HEADER)
    stranger.until(b"</stream:features>")

    stranger.send(f"<starttls xmlns='{ns.STARTTLS}'/>" + HEADER + plain(account))
    said = stranger.until_closed()

    assert b"<proceed" in said
    assert b"<success" not in said and b"not-authorized" not in said


def test_starttls_inside_tls_is_refused(house: Pieces) -> None:
    stream = encrypted(house)

    stream.send(f"<starttls xmlns='{ns.STARTTLS}'/>")

    assert "not-authorized" == ended_with(stream)
    stream.cut()


# SASL

SASL = {
    "an unknown mechanism": (auth("GSSAPI"), "invalid-mechanism"),
    "no mechanism": (f"<auth xmlns='{ns.SASL}'>AA==</auth>", "invalid-mechanism"),
    "a mechanism of 9,000 characters": (auth("A" * 9000), "invalid-mechanism"),
    "no base64": (auth("PLAIN", "***"), "incorrect-encoding"),
    "base64 of nothing sensible": (auth("PLAIN", "AAAA"), "malformed-request|not-authorized"),
    "bytes that are no UTF-8": (auth("PLAIN", "AP/+AP8="), "malformed-request|not-authorized"),
    "an element instead of text": (auth("PLAIN", "<x/>"), "incorrect-encoding|malformed-request"),
    "a response out of turn": (f"<response xmlns='{ns.SASL}'>AA==</response>", "malformed-request"),
    "an empty SCRAM message": (auth("SCRAM-SHA-256", ""), "malformed-request|not-authorized|challenge"),
    "a SCRAM message of commas": (auth("SCRAM-SHA-256", base64.b64encode(b",,,,,,").decode()), "malformed-request"),
    "a SCRAM message without a name": (auth("SCRAM-SHA-1", base64.b64encode(b"n,,r=x").decode()), "malformed-request"),
    "giving up": (f"<abort xmlns='{ns.SASL}'/>", "aborted"),
}  # fmt: skip


@pytest.mark.parametrize("what", SASL)
def test_an_authentication_that_fails_may_be_tried_again(house: Pieces, what: str) -> None:
    stream, account = encrypted(house), house.account()
    sent, allowed = SASL[what]

    failure = stream.request(sent)
    told = condition_of(failure) if failure.tag.endswith("}failure") else failure.tag.rpartition("}")[2]
    stream.authenticate(account.name, PASSWORD)
    stream.cut()

    assert told in allowed.split("|")


@pytest.mark.parametrize("name", ["nobody", "with space", "a@b", "a/b", "", "ä" * 600, "<x>&'"])
def test_an_unknown_account_looks_like_a_wrong_password(house: Pieces, name: str) -> None:
    stream = encrypted(house)

    failure = stream.request(plain(Account(name)))
    stream.cut()

    assert condition_of(failure) in ("not-authorized", "malformed-request")


def test_somebody_else_s_name_cannot_be_taken(house: Pieces) -> None:
    stream, account, other = encrypted(house), house.account(), house.account()

    failure = stream.request(plain(account, authzid=other.jid))
    stream.cut()

    assert "invalid-authzid" == condition_of(failure)


def test_five_failures_end_the_stream(house: Pieces) -> None:
    stream, account = encrypted(house), house.account()

    failures = [condition_of(stream.request(plain(account, "wrong"))) for _ in range(5)]

    assert ["not-authorized"] * 5 == failures
    assert "policy-violation" == ended_with(stream)
    stream.cut()


def test_nothing_but_sasl_is_heard_before_authentication(house: Pieces) -> None:
    stream = encrypted(house)

    stream.send(f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'/></iq>")

    assert "not-authorized" == ended_with(stream)
    stream.cut()


def test_a_stanza_instead_of_the_new_header_ends_the_stream_with_a_header_of_its_own(house: Pieces) -> None:
    stream, account = encrypted(house), house.account()

    stream.request(plain(account), f"{{{ns.SASL}}}success")
    stream._reader = type(stream._reader)()
    stream.send("<message to='a@localhost'><body>x</body></message>")

    assert "invalid-namespace" == ended_with(stream)
    stream.cut()


# Resource binding

RESOURCES = {
    "special characters": ("&lt;a b=&apos;&quot;&amp;&gt;", "<a b='\"&>"),
    "slashes": ("a/b/@c", "a/b/@c"),
    "letters beyond ASCII": ("тест ✓ 手机", "тест ✓ 手机"),
    "1,023 bytes": ("r" * 1023, "r" * 1023),
}


@pytest.mark.parametrize("what", RESOURCES)
def test_a_resource_is_bound_as_it_was_asked_for(house: Pieces, what: str) -> None:
    wish, bound = RESOURCES[what]
    phone, friend = Phone(house, house.account()).bind(wish), online(house, house.account())

    friend.send(f"<message to='{phone.account.jid}/{wish}' type='chat'><body>x</body></message>")

    assert f"{phone.account.jid}/{bound}" == phone.jid
    assert ["x"] == phone.bodies(1)


BAD_RESOURCES = {
    "1,024 bytes": "r" * 1024,
    "9,000 bytes": "r" * 9000,
    "a control character": "a&#x7f;b",
}


@pytest.mark.parametrize("what", BAD_RESOURCES)
def test_a_resource_that_is_none_is_refused_and_another_may_be_asked_for(house: Pieces, what: str) -> None:
    phone = Phone(house, house.account())

    phone.send(f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'><resource>{BAD_RESOURCES[what]}</resource></bind></iq>")
    error = phone.next().find(stanza("error"))

    assert error is not None and "bad-request" == condition_of(error)
    assert phone.bind("good").jid.endswith("/good")


@pytest.mark.parametrize(
    "inner", ["", "<resource/>", "<resource></resource>", "<resource>a</resource><resource>b</resource>"]
)
def test_without_a_readable_wish_the_server_chooses(house: Pieces, inner: str) -> None:
    phone = Phone(house, house.account())

    phone.send(f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'>{inner}</bind></iq>")
    jid = phone.next().findtext(f"{{{ns.BIND}}}bind/{{{ns.BIND}}}jid") or ""

    assert len(jid.partition("/")[2]) >= 10


def test_binding_twice_is_an_error_that_changes_nothing(house: Pieces) -> None:
    phone = Phone(house, house.account()).bind("one")

    phone.send(f"<iq type='set' id='b2'><bind xmlns='{ns.BIND}'><resource>two</resource></bind></iq>")
    answer = phone.next()
    phone.round_trip()

    assert ("b2", "error") == (answer.get("id"), answer.get("type"))


BEFORE_BINDING = {
    "a message": "<message to='a@localhost'><body>x</body></message>",
    "presence": "<presence/>",
    "another iq": f"<iq type='get' id='x'><ping xmlns='{ns.PING}'/></iq>",
    "a bind of type get": f"<iq type='get' id='x'><bind xmlns='{ns.BIND}'/></iq>",
    "a bind without an id": f"<iq type='set'><bind xmlns='{ns.BIND}'/></iq>",
    "sasl again": f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AA==</auth>",
    "starttls": f"<starttls xmlns='{ns.STARTTLS}'/>",
}


@pytest.mark.parametrize("what", BEFORE_BINDING)
def test_nothing_is_routed_before_a_resource_is_bound(house: Pieces, what: str) -> None:
    phone = Phone(house, house.account())

    phone.send(BEFORE_BINDING[what])

    assert "not-authorized" == condition_of(phone.stream_error())


@pytest.mark.parametrize("name", ["enable", "r", "a"])
def test_stream_management_before_binding_fails_and_the_stream_goes_on(house: Pieces, name: str) -> None:
    phone = Phone(house, house.account())

    phone.send(f"<{name} xmlns='{ns.SM}' h='0'/>")

    assert "unexpected-request" == failed_condition(phone.next())
    assert phone.bind().jid


RESUMES = {
    "no previd": ("h='0'", "bad-request"),
    "no h": ("previd='x'", "bad-request"),
    "an unknown session": ("previd='x' h='0'", "item-not-found"),
    "an empty previd": ("previd='' h='0'", "item-not-found"),
    "special characters": ("previd='&lt;&apos;{b01}:&#10;' h='4294967295'", "item-not-found"),
    "5,000 characters": (f"previd='{'x' * 5000}' h='0'", "item-not-found"),
}


@pytest.mark.parametrize("what", RESUMES)
def test_a_resumption_that_fails_leaves_the_client_free_to_bind(house: Pieces, what: str) -> None:
    phone = Phone(house, house.account())
    attributes, condition = RESUMES[what]

    phone.send(f"<resume xmlns='{ns.SM}' {attributes}/>")

    assert condition == failed_condition(phone.next())
    assert phone.bind().jid


def test_somebody_else_s_session_cannot_be_resumed(house: Pieces) -> None:
    juliet = online(house, house.account())
    mallory = Phone(house, house.account())

    failed = mallory.resume(juliet.session_id, 0)

    assert ("item-not-found", None) == (failed_condition(failed), failed.get("h"))
    juliet.round_trip()


def test_a_header_for_another_account_s_domain_is_told_before_any_feature(house: Pieces) -> None:
    said = Stranger(house).send(HEADER.replace("localhost", "elsewhere.example")).until_closed()

    assert ["host-unknown"] == conditions(said)
    assert b"<stream:features" not in said


@pytest.mark.parametrize("bad", ["", "-1", "x", "1.0", "4294967296", "9" * 4000, "\u0661"])
def test_an_h_that_is_no_number_ends_the_stream_and_not_the_session(house: Pieces, bad: str) -> None:
    phone = online(house, house.account())
    inbound = phone.inbound

    phone.send(f"<a xmlns='{ns.SM}' h='{bad}'/>")
    condition = condition_of(phone.stream_error())
    again = Phone(house, phone.account)

    assert "invalid-xml" == condition
    assert sm("resumed") == again.resume(phone.session_id, inbound).tag
