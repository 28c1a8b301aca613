"""XEP-0092, XEP-0157, XEP-0199, XEP-0202 and XEP-0215 on the wire, with a configuration that has something to tell."""

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from gateway import __version__
from gateway.xmpp import ns
from tests.support.iq import features, info, refusal, result
from tests.support.phone import Phone
from tests.support.processes import DOMAIN, Server, running

SERVICES = {
    "stun": {"type": "stun", "host": "stun.localhost", "port": 3478, "transport": "udp", "name": "A <b> & 'c'"},
    "turn": {"type": "turn", "host": "turn.localhost", "port": 3478, "transport": "udp", "secret": "north"},
    "turns": {"type": "turn", "host": "turn.localhost", "port": 5349, "transport": "tcp", "secret": "north"},
    "files": {"type": "ftp", "host": "ftp.localhost", "username": "guest", "password": "open"},
}

VERSION = f"<query xmlns='{ns.VERSION}'/>"
TIME = f"<time xmlns='{ns.TIME}'/>"


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "contact": {
            "abuse": ["mailto:abuse@localhost", "xmpp:abuse@localhost"],
            "status": ["https://status.localhost"],
        },
        "version": {"show_os": True},
        **{f"external_services.services.{name}": service for name, service in SERVICES.items()},
    }
    with running(tmp_path_factory.mktemp("telling"), settings=settings) as server:
        server.stock_accounts(10)
        yield server


@pytest.fixture
def phone(telling: Server) -> Phone:
    return Phone(telling, telling.account()).bind()


def service(**attributes: str) -> str:
    written = "".join(f" {name}='{value}'" for name, value in attributes.items())
    return f"<credentials xmlns='{ns.EXTERNAL_SERVICES}'><service{written}/></credentials>"


def services(phone: Phone, type_: str = "") -> list[dict[str, str]]:
    wanted = f" type='{type_}'" if type_ else ""
    return [dict(one.attrib) for one in result(phone, f"<services xmlns='{ns.EXTERNAL_SERVICES}'{wanted}/>", to=DOMAIN)]


# XEP-0092


def test_the_version_tells_the_system_only_where_the_operator_wants_it(phone: Phone, server: Server) -> None:
    told = {child.tag.split("}")[1]: child.text for child in result(phone, VERSION, to=DOMAIN)}
    usual = result(Phone(server, server.account()).bind(), VERSION, to=DOMAIN)

    assert ("Wakegate", __version__) == (told["name"], told["version"])
    assert told["os"]
    assert ["name", "version"] == [child.tag.split("}")[1] for child in usual]


# XEP-0157


def test_contact_addresses_are_a_form_beside_the_features(phone: Phone, server: Server) -> None:
    forms = info(phone).findall(f"{{{ns.DATA_FORMS}}}x")
    fields = {field.get("var"): [value.text for value in field] for form in forms for field in form}

    assert {
        "FORM_TYPE": ["http://jabber.org/network/serverinfo"],
        "abuse-addresses": ["mailto:abuse@localhost", "xmpp:abuse@localhost"],
        "status-addresses": ["https://status.localhost"],
    } == fields
    assert [] == info(Phone(server, server.account()).bind()).findall(f"{{{ns.DATA_FORMS}}}x")
    assert [] == info(phone, phone.account.jid).findall(f"{{{ns.DATA_FORMS}}}x")


# XEP-0199


def test_a_ping_is_answered_by_the_server_and_for_the_own_account(phone: Phone) -> None:
    ping = f"<iq type='get' id='p'%s><ping xmlns='{ns.PING}'/></iq>"
    for to in ("", f" to='{DOMAIN}'", f" to='{phone.account.jid}'"):
        phone.send(ping % to)
        answer = phone.next()

        assert ("result", 0) == (answer.get("type"), len(answer))
    assert ns.PING in features(info(phone, phone.account.jid))
    assert "service-unavailable" == refusal(phone, f"<ping xmlns='{ns.PING}'/>", to=f"nobody@{DOMAIN}")


# XEP-0202


def test_the_time_is_utc_with_the_servers_zone(phone: Phone) -> None:
    before = time.time()
    told = {child.tag.split("}")[1]: child.text or "" for child in result(phone, TIME, to=DOMAIN)}

    moment = datetime.fromisoformat(told["utc"]).timestamp()
    offset = datetime.now(UTC).astimezone().strftime("%z")
    assert told["utc"].endswith("Z")
    assert before - 1 <= moment <= time.time() + 1
    assert f"{offset[:3]}:{offset[3:]}" == told["tzo"]


@pytest.mark.parametrize("payload", [VERSION, TIME, f"<services xmlns='{ns.EXTERNAL_SERVICES}'/>"])
def test_an_account_is_not_asked_what_the_server_is(phone: Phone, payload: str) -> None:
    for to in (None, phone.account.jid, f"nobody@{DOMAIN}"):
        assert "service-unavailable" == refusal(phone, payload, to=to)
    assert "service-unavailable" == refusal(phone, payload, to=DOMAIN, type="set")


# XEP-0215


def test_all_services_are_told_with_what_is_needed_to_use_them(phone: Phone) -> None:
    found = services(phone)

    assert ns.EXTERNAL_SERVICES in features(info(phone))
    assert ["stun", "turn", "turn", "ftp"] == [one["type"] for one in found]
    assert {
        "type": "stun",
        "host": "stun.localhost",
        "port": "3478",
        "transport": "udp",
        "name": "A <b> & 'c'",
    } == found[0]
    assert ("guest", "open", "true") == (found[3]["username"], found[3]["password"], found[3]["restricted"])
    assert "port" not in found[3]


def test_turn_credentials_are_the_phones_own_and_expire(phone: Phone) -> None:
    first, _ = services(phone, "turn")

    expires, user = first["username"].split(":")
    digest = hmac.new(b"north", first["username"].encode(), hashlib.sha1).digest()
    assert phone.account.name == user
    assert base64.b64encode(digest).decode() == first["password"]
    assert 0 < int(expires) - time.time() <= 86400
    assert int(expires) == datetime.fromisoformat(first["expires"]).timestamp()


def test_services_of_one_type_or_of_none(phone: Phone) -> None:
    assert ["ftp.localhost"] == [one["host"] for one in services(phone, "ftp")]
    assert [] == services(phone, "sip")


def test_credentials_are_asked_for_by_host_and_type(phone: Phone) -> None:
    both = result(phone, service(host="turn.localhost", type="turn"), to=DOMAIN)
    one = result(phone, service(host="turn.localhost", type="turn", port="5349"), to=DOMAIN)

    assert ["3478", "5349"] == [found.get("port") for found in both]
    assert ["5349"] == [found.get("port") for found in one]
    assert one[0].get("password")


BAD = {
    "no service": (f"<credentials xmlns='{ns.EXTERNAL_SERVICES}'/>", "bad-request"),
    "two": (service(host="a", type="b").replace("/></c", "/><service host='a' type='b'/></c"), "bad-request"),
    "no type": (service(host="turn.localhost"), "bad-request"),
    "no host": (service(type="turn"), "bad-request"),
    "an unknown one": (service(host="elsewhere", type="turn"), "item-not-found"),
    "another port": (service(host="turn.localhost", type="turn", port="1"), "item-not-found"),
    "one that wants none": (service(host="stun.localhost", type="stun"), "item-not-found"),
}


@pytest.mark.parametrize("case", BAD)
def test_credentials_for_what_is_not_there_are_refused(phone: Phone, case: str) -> None:
    payload, condition = BAD[case]

    assert condition == refusal(phone, payload, to=DOMAIN)
