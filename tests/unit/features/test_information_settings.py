"""[contact] and [external_services]: what can be wrong in them is said at the start; what is made of them."""

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from gateway import configuration
from gateway.features.external_services import ExternalServicesSettings, ServiceSettings, credentials
from gateway.features.time import offset
from gateway.settings import ConfigError, Secret, load


def faults(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "wakegate.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(configuration.sections(), files=[file])
    return list(error.value.faults)


BAD_ADDRESSES = ["abuse@example.org", "", "no address", "https://", "mailto:a b@c", "xmpp:<a>@b", "http://[x"]


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_a_contact_address_is_a_uri(tmp_path: Path, address: str) -> None:
    (fault,) = faults(tmp_path, f'[contact]\nabuse = ["{address}"]\n')

    assert fault.startswith("contact.abuse:")


BAD_SERVICES = {
    "no host": ('type = "turn"', "host"),
    "a host with a blank": ('host = "a b"', "host"),
    "no type": ('host = "a"\ntype = ""', "type"),
    "a type that is none": ('host = "a"\ntype = "tu rn"', "type"),
    "a user without a password": ('host = "a"\nusername = "u"', "username"),
    "a password without a user": ('host = "a"\npassword = "p"', "username"),
    "two kinds of credentials": ('host = "a"\nsecret = "s"\nusername = "u"\npassword = "p"', "secret"),
    "a port that is none": ('host = "a"\nport = 70000', "port"),
    "another transport": ('host = "a"\ntransport = "sctp"', "transport"),
    "a short life": ('host = "a"\nsecret = "s"\nlifetime = 5', "lifetime"),
}


@pytest.mark.parametrize("case", BAD_SERVICES)
def test_a_service_says_what_is_wrong_with_it(tmp_path: Path, case: str) -> None:
    text, setting = BAD_SERVICES[case]
    (fault,) = faults(tmp_path, f"[external_services.services.one]\n{text}\n")

    assert fault.startswith(f"external_services.services.one.{setting}:")


def test_services_keep_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "wakegate.toml"
    file.write_text("".join(f'[external_services.services.{name}]\nhost = "{name}"\n' for name in ("z", "a", "m")))

    found = load(configuration.sections(), files=[file]).of(ExternalServicesSettings).services

    assert ["z", "a", "m"] == [service.host for service in found.values()]


def test_credentials_made_with_a_secret_are_those_that_turn_servers_compute() -> None:
    service = ServiceSettings(host="a", type="turn", secret=Secret("north"), lifetime=3600)

    made = credentials(service, user="juliet", now=1_000_000.9)

    digest = hmac.new(b"north", b"1003600:juliet", hashlib.sha1).digest()
    assert {
        "username": "1003600:juliet",
        "password": base64.b64encode(digest).decode(),
        "expires": "1970-01-12T14:46:40.000Z",
    } == made


def test_a_service_without_credentials_has_none() -> None:
    assert {} == credentials(ServiceSettings(host="a"), user="juliet", now=0)


OFFSETS = {0: "+00:00", 3600: "+01:00", 19800: "+05:30", -12600: "-03:30", 50400: "+14:00"}


@pytest.mark.parametrize("seconds", OFFSETS)
def test_a_distance_from_utc_is_written_with_its_sign(seconds: int) -> None:
    assert OFFSETS[seconds] == offset(seconds)
