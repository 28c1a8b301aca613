"""Whom a limit counts."""

import pytest

from gateway.limits.addresses import Addresses, network_fault


def addresses(**changed: object) -> Addresses:
    return Addresses(**{"prefix_v4": 32, "prefix_v6": 64, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_address_of_ipv4_and_a_network_of_ipv6_are_one(host: str, group: str) -> None:
    assert group == addresses().group(host)


def test_how_much_is_one_address_can_be_said() -> None:
    wide = addresses(prefix_v4=24, prefix_v6=48)

    assert ("192.0.2.0/24", "2001:db8:1::/48") == (wide.group("192.0.2.7"), wide.group("2001:db8:1:2::3"))


def test_networks_are_told_from_others() -> None:
    found = addresses(shared=["198.51.100.0/24"], unlimited=["127.0.0.0/8", "::1"])

    assert found.is_shared("198.51.100.9")
    assert not found.is_shared("198.51.101.9")
    assert found.is_unlimited("127.1.2.3")
    assert found.is_unlimited("::ffff:127.0.0.1")
    assert found.is_unlimited("::1")
    assert not found.is_unlimited("::2")


@pytest.mark.parametrize("text", ["", "example.com", "192.0.2.7/24", "300.1.1.1"])
def test_what_is_no_network_is_a_fault(text: str) -> None:
    assert f'"{text}" is no address or network' in network_fault(text)
