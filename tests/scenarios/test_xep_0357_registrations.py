"""XEP-0357 at the server's own push service: what a client may say of its device, and what is kept of it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.mailbox import keys
from gateway.mailbox.pushes import Filters, Registration
from gateway.xmpp import ns
from tests.support.iq import ask, error_of, features, info, refusal, store_of
from tests.support.phone import Phone, online
from tests.support.pieces import Pieces, pieces


def base64url(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


SERVICE = "push.localhost"
KEY = "AAECAwQFBgcICQoLDA0ODw=="
TOKEN, VOIP_TOKEN = "a1" * 32, "b2" * 32
POINT = base64url(
    ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)
AUTH = base64url(bytes(16))
ENDPOINT = "https://updates.push.example/wpush/v2/abc"

IPHONE = {"app": "ios", "token": TOKEN}
ANDROID = {"app": "android", "token": "token-1"}
BROWSER = {"app": "web", "endpoint": ENDPOINT, "p256dh": POINT, "auth": AUTH}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    directory = tmp_path_factory.mktemp("registrations")
    file = directory / "credentials"
    file.write_text("{}")
    web = {"provider": "webpush", "vapid_key_file": str(file), "vapid_subject": "mailto:admin@push.example"}
    settings = {
        "push.apps.ios": {"provider": "apns", "topic": "org.example.chat", "certificate_file": str(file)},
        "push.apps.android": {"provider": "fcm", "service_account_file": str(file)},
        "push.apps.web": web,
        "push.apps.unified": {**web, "allow_private": True},
    }
    with pieces(directory, settings=settings) as server:
        server.stock_accounts(60)
        yield server


def a_phone(house: Pieces) -> Phone:
    return online(house, house.account())


def enabled(fields: dict[str, str], inner: str = "", node: str = "n1") -> str:
    form = "".join(
        f"<field var={quoteattr(var)}><value>{value}</value></field>"
        for var, value in {"FORM_TYPE": ns.PUBSUB_PUBLISH_OPTIONS, **fields}.items()
    )
    return (
        f"<enable xmlns='{ns.PUSH}' jid='{SERVICE}' node='{node}'>"
        f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{form}</x>{inner}</enable>"
    )


def registered(house: Pieces, fields: dict[str, str], inner: str = "") -> Registration:
    """What is kept of a registration."""
    phone = a_phone(house)
    answer = ask(phone, enabled(fields, inner), type="set")
    assert "result" == answer.get("type"), error_of(answer)
    (found,) = registrations(house, phone)
    return found


def registrations(house: Pieces, phone: Phone) -> list[Registration]:
    user = phone.account.jid
    with store_of(house) as store:
        found = store.hvals(keys.key(keys.prefix(user), "registrations", user))
    return [msgspec.json.decode(one, type=Registration) for one in found]


def test_an_iphone_has_a_token_for_messages_and_one_for_calls(house: Pieces) -> None:
    found = registered(house, {**IPHONE, "voip_token": VOIP_TOKEN, "environment": "sandbox", "content": "sender"})

    assert ("ios", TOKEN, VOIP_TOKEN, "sandbox", "sender") == (
        found.app, found.token, found.voip_token, found.environment, found.content
    )  # fmt: skip


def test_a_browser_has_an_endpoint_and_keys(house: Pieces) -> None:
    found = registered(house, BROWSER)

    assert (ENDPOINT, POINT, AUTH) == (found.token, found.p256dh, found.auth)


def test_an_operator_may_allow_endpoints_without_tls(house: Pieces) -> None:
    local = {**BROWSER, "endpoint": "http://10.0.0.1/up"}

    assert "not-acceptable" == refusal(a_phone(house), enabled(local), type="set")
    assert "http://10.0.0.1/up" == registered(house, {**local, "app": "unified"}).token


def test_what_the_device_filters_and_its_key_are_kept(house: Pieces) -> None:
    inner = (
        f"<encrypt xmlns='{ns.PUSH_ENCRYPT}' alg='aes-128-gcm' max-size='3000'>\n  {KEY}\n</encrypt>"
        f"<muted xmlns='{ns.PUSH_MUTED}'><item jid='nurse@localhost'/></muted>"
        f"<groupchat xmlns='{ns.PUSH_GROUPCHAT}'><room jid='play@rooms.localhost' allow='mentioned' nick='J'/>"
        f"</groupchat><ignore-unknown xmlns='{ns.PUSH_IGNORE_UNKNOWN}'/><priority xmlns='{ns.PUSH_PRIORITY}'/>"
        f"<jingle xmlns='{ns.PUSH_JINGLE}'/>"
    )
    rooms = {"": "mentioned", "play@rooms.localhost": "mentioned:J"}

    found = registered(house, ANDROID, inner)

    assert ("encrypted", "aes-128-gcm", KEY) == (found.content, found.encryption, found.key)
    assert Filters(muted=("nurse@localhost",), rooms=rooms, ignore_unknown=True) == found.filters


def test_enabling_again_without_extensions_takes_them_back(house: Pieces) -> None:
    phone = a_phone(house)
    ask(phone, enabled(ANDROID, f"<ignore-unknown xmlns='{ns.PUSH_IGNORE_UNKNOWN}'/>"), type="set")
    ask(phone, enabled(ANDROID), type="set")

    assert [None] == [one.filters for one in registrations(house, phone)]


def test_what_is_honoured_is_announced_on_the_account(house: Pieces) -> None:
    phone = a_phone(house)
    expected = {
        ns.PUSH,
        "tigase:push:encrypt:0",
        "tigase:push:encrypt:aes-128-gcm",
        "tigase:push:encrypt:aes-256-gcm",
        "tigase:push:filter:ignore-unknown:0",
        "tigase:push:filter:groupchat:0",
        "tigase:push:filter:muted:0",
        "tigase:push:priority:0",
        "tigase:push:jingle:0",
    }

    assert expected <= features(info(phone, to=phone.account.jid))


MANY_MUTED = (
    f"<muted xmlns='{ns.PUSH_MUTED}'>"
    + "".join(f"<item jid='{number}{'n' * 90}@x.example'/>" for number in range(900))
    + "</muted>"
)

BAD = {
    "a token of APNs that is none, for calls": ({**IPHONE, "voip_token": "xy"}, "", "not-acceptable"),
    "a token for calls, not at APNs": ({**ANDROID, "voip_token": VOIP_TOKEN}, "", "bad-request"),
    "no endpoint": ({**BROWSER, "endpoint": ""}, "", "bad-request"),
    "no keys": ({"app": "web", "endpoint": ENDPOINT}, "", "bad-request"),
    "a key that is no point": ({**BROWSER, "p256dh": AUTH}, "", "not-acceptable"),
    "encryption without a key": ({**ANDROID, "content": "encrypted"}, "", "bad-request"),
    "an unknown cipher": (ANDROID, f"<encrypt xmlns='{ns.PUSH_ENCRYPT}' alg='rot13'>{KEY}</encrypt>", "not-acceptable"),
    "a muted nobody": (ANDROID, f"<muted xmlns='{ns.PUSH_MUTED}'><item/></muted>", "bad-request"),
    "an unknown rule": (
        ANDROID,
        f"<groupchat xmlns='{ns.PUSH_GROUPCHAT}'><room jid='a@b' allow='x'/></groupchat>",
        "bad-request",
    ),
    "a registration that is too large": (ANDROID, MANY_MUTED, "not-acceptable"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_could_not_work_is_refused_and_not_kept(house: Pieces, what: str) -> None:
    fields, inner, condition = BAD[what]
    phone = a_phone(house)

    assert condition == refusal(phone, enabled(fields, inner), type="set")
    assert [] == registrations(house, phone)
