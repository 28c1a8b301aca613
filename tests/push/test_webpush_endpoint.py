"""Which URLs and which addresses a user may have us ask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.push.providers.webpush.addresses import is_public
from workers.push.providers.webpush.endpoint import Endpoint, EndpointError


def read(url: str, *, allow_private: bool = False) -> Endpoint:
    return Endpoint.of(url, allow_private=allow_private)


@pytest.mark.parametrize(
    ("url", "origin", "host", "port", "target"),
    [
        ("https://push.example/a/b?up=1", "https://push.example", "push.example", 443, "/a/b?up=1"),
        ("https://Push.Example:443/", "https://push.example", "push.example", 443, "/"),
        ("https://push.example:8443", "https://push.example:8443", "push.example", 8443, "/"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443", "2001:db8::1", 8443, "/x"),
        ("https://push.example?x", "https://push.example", "push.example", 443, "/?x"),
    ],
)
def test_an_endpoint_is_taken_apart(url: str, origin: str, host: str, port: int, target: str) -> None:
    assert Endpoint(origin, host, port, target) == read(url)


MALFORMED = [
    "",
    "token",
    "push.example/x",
    "ftp://push.example/x",
    "file:///etc/passwd",
    "https://",
    "https:///x",
    "https://push.example:port/",
    "https://push.example:99999/",
    "https://user@push.example/",
    "https://user:password@push.example/",
    "https://push.example/#fragment",
    "https://push.example/a b",
    "https://push.example/\r\nHost: other.example",
    "https://push.example/\x00",
    "https://püsh.example/",
    "https://[::1/",
    "https://[fe80::1%25eth0]/",
    "https://a..b/",
    "https://.push.example/",
    "https://push.example./",
    "https://a\\b/",
    "https://a%20b/",
    "https://-push.example/",
    "https://" + "x" * 64 + ".example/",
    "https://" + "x." * 127 + "example/",
    "https://push.example/" + "x" * 2048,
]


@pytest.mark.parametrize("url", MALFORMED, ids=lambda url: ascii(url)[:40])
def test_what_is_no_url_of_a_push_service_never_will_be(url: str) -> None:
    with pytest.raises(EndpointError) as caught:
        read(url, allow_private=True)

    assert caught.value.malformed
    assert "endpoint malformed" == str(caught.value)


@given(st.text(max_size=60) | st.from_regex(r"https?://[!-~]{0,40}", fullmatch=True))
def test_whatever_a_user_gives_is_an_endpoint_or_refused(url: str) -> None:
    try:
        endpoint = read(url)
    except EndpointError:
        return
    assert f"{endpoint.origin}/".startswith("https://")
    assert endpoint.target.startswith("/")
    assert endpoint.port == 443 or endpoint.port >= 1024


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://push.example/", "endpoint not https"),
        ("https://push.example:25/", "endpoint port not allowed"),
        ("https://push.example:0/", "endpoint port not allowed"),
        ("https://push.example:80/", "endpoint port not allowed"),
        ("https://push.example:1023/", "endpoint port not allowed"),
    ],
)
def test_what_only_a_closed_network_may_have_is_refused_for_the_others(url: str, reason: str) -> None:
    with pytest.raises(EndpointError) as caught:
        read(url)

    assert (reason, False) == (caught.value.reason, caught.value.malformed)
    assert "push.example" == read(url, allow_private=True).host


def test_the_label_names_a_large_service_and_hides_a_small_one() -> None:
    assert "fcm.googleapis.com" == read("https://fcm.googleapis.com/fcm/send/x").label
    assert "updates.push.services.mozilla.com" == read("https://updates.push.services.mozilla.com/wpush/v2/x").label
    assert "julia" not in read("https://push.julia.example/x").label
    assert "evil" not in read("https://evilgoogleapis.com/x").label


def test_neither_url_nor_host_is_in_what_is_printed() -> None:
    assert "push" not in repr(read("https://push.example/secret"))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "192.0.1.1", "172.15.0.1", "2606:4700::1111", "2a00:1450:4001::8a", "64:ff9b::808:808"],
)
def test_the_open_internet_may_be_asked(address: str) -> None:
    assert is_public(address)


NOT_PUBLIC = {
    "loopback": ("127.0.0.1", "127.255.255.254", "::1"),
    "private": ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fd00::1", "fc00::1"),
    "shared (RFC 6598)": ("100.64.0.1", "100.127.255.255"),
    "link-local, where clouds keep credentials": ("169.254.169.254", "fe80::1", "fe80::1%eth0"),
    "this host": ("0.0.0.0", "0.1.2.3", "::"),
    "multicast": ("224.0.0.1", "239.1.1.1", "ff02::1"),
    "broadcast and reserved": ("255.255.255.255", "240.0.0.1", "4000::1"),
    "benchmarks": ("198.18.0.1",),
    "documentation": ("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"),
    "protocol assignments": ("192.0.0.8", "192.0.0.170", "2001::1", "2001:20::1"),
    "site-local": ("fec0::1",),
    "IPv4 in IPv6": ("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::7f00:1", "::ffff:0:127.0.0.1"),
    "NAT64 of a private one": ("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808"),
    "6to4 and its relays": ("2002:7f00:1::", "2002:808:808::1", "192.88.99.1"),
    "Teredo": ("2001:0:4136:e378:8000:63bf:3fff:fdd2",),
    "not an address": ("", "localhost", "127.1", "0x7f000001", "2130706433", "1.2.3.4.5"),
}


@pytest.mark.parametrize("address", [one for group in NOT_PUBLIC.values() for one in group])
def test_nothing_else_may_be_asked(address: str) -> None:
    assert not is_public(address)
