"""What a proxy says of a client, ahead of the client's first byte."""

from __future__ import annotations

import socket
import struct

import gevent
import pytest
from gevent import socket as gevent_socket
from hypothesis import given
from hypothesis import strategies as st

from gateway.transports import proxy_protocol
from gateway.transports.proxy_protocol import SIGNATURE, BadHeader, Proxies, Source, read_source

STREAM = b"<stream:stream>"
V4, V6 = socket.inet_aton("192.0.2.7"), socket.inet_pton(socket.AF_INET6, "2001:db8::7")


def binary(command: int, family: int, data: bytes, *, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(data) if length is None else length) + data


def told(data: bytes, *, pieces: int = 0, ends: bool = True) -> tuple[Source | None, bytes]:
    """What is read of a header, and what is left of the stream behind it. `pieces`: how many bytes come at a time."""
    ours, proxys = gevent_socket.socketpair()
    with ours, proxys:
        sender = gevent.spawn(send, proxys, data, pieces or len(data), ends)
        source = read_source(ours)
        sender.join()
        ours.settimeout(1)
        return source, b"".join(iter(lambda: ours.recv(100), b"")) if ends else b""


def send(proxy: gevent_socket.socket, data: bytes, pieces: int, ends: bool) -> None:
    for at in range(0, len(data), max(1, pieces)):
        proxy.sendall(data[at : at + max(1, pieces)])
        gevent.sleep(0)
    if ends:
        proxy.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("pieces", [0, 1, 5])
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 5222\r\n", ("192.0.2.7", 40000)),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 5222\r\n", ("2001:db8::7", 1)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff:f...f:ffff 65535 65535\r\n", None),
        (binary(0x21, 0x11, V4 + V4 + struct.pack("!HH", 40000, 5222)), ("192.0.2.7", 40000)),
        (binary(0x21, 0x21, V6 + V6 + struct.pack("!HH", 1, 5222)), ("2001:db8::7", 1)),
        (binary(0x21, 0x11, V4 + V4 + struct.pack("!HH", 2, 3) + b"\x04\x00\x05hello"), ("192.0.2.7", 2)),
        (binary(0x20, 0x00, b""), None),
        (binary(0x20, 0x11, V4 + V4 + struct.pack("!HH", 2, 3)), None),
        (binary(0x21, 0x31, bytes(216)), None),
        (binary(0x21, 0x00, b""), None),
    ],
    ids=["1, IPv4", "1, IPv6", "1, unknown", "1, unknown with words", "2, IPv4", "2, IPv6", "2, with values",
         "2, health check", "2, health check with addresses", "2, UNIX socket", "2, unspecified"],
)  # fmt: skip
def test_the_client_is_told_and_the_stream_behind_it_is_left(
    header: bytes, expected: Source | None, pieces: int
) -> None:
    assert (expected, STREAM) == told(header + STREAM, pieces=pieces)


@pytest.mark.parametrize(
    "header",
    [
        STREAM,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 x\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 1\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 1 1\r\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 1 1\r\n",
        b"PROXY TCP4 somebody.example 198.51.100.1 1 1\r\n",
        b"PROXY TCP5 192.0.2.7 198.51.100.1 1 1\r\n",
        b"PROXY TCP4 \xff 198.51.100.1 1 1\r\n",
        b"PROXY TCP4 " + b"1" * 200 + b"\r\n",
        b"PROXY TCP4 192.0.2.7",
        binary(0x31, 0x11, V4 + V4 + bytes(4)),
        binary(0x22, 0x11, V4 + V4 + bytes(4)),
        binary(0x21, 0x11, V4 + V4),
        binary(0x21, 0x21, V4 + V4 + bytes(4)),
        binary(0x21, 0x11, bytes(5000)),
        binary(0x21, 0x11, V4, length=12),
        SIGNATURE,
        b"",
    ],
)
def test_anything_else_is_refused(header: bytes) -> None:
    with pytest.raises(BadHeader):
        told(header)


def test_a_proxy_that_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_protocol, "HEADER_S", 0.05)

    with pytest.raises(BadHeader, match="within"):
        told(b"PROXY ", ends=False)


@given(st.binary(max_size=300))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    for start in (b"", b"PROXY ", SIGNATURE):
        try:
            source, _ = told(start + data)
        except BadHeader:
            continue
        assert source is None or 0 <= source[1] <= 65535


def test_who_is_no_proxy_is_not_believed() -> None:
    proxies = Proxies(["192.0.2.0/24", "2001:db8::1"])

    assert ["192.0.2.9", "2001:db8::1", "::ffff:192.0.2.9"] == [
        host
        for host in ("192.0.2.9", "198.51.100.1", "2001:db8::1", "2001:db8::2", "::ffff:192.0.2.9")
        if host in proxies
    ]
    assert "127.0.0.1" not in Proxies()
