"""Where the time and the memory go. Starts a Redis and a gateway of its own, loads them over loopback, reads their
CPU clocks.

CPU time, not wall clock: other work on the machine disturbs it less. Compare two versions in one run on one machine.
"""

from gevent import monkey

monkey.patch_all()

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gevent
from bench_archive import archive
from bench_costs import costs
from bench_gateways import gateways
from bench_host import Server, server
from bench_push import PROVIDERS, push
from bench_sessions import sessions
from gevent.pool import Pool

from gateway.demo.client import Client
from gateway.demo.stream import Address, ClientStream

PUSHES = [f"push-{name}" for name in PROVIDERS]

BODY = b"x" * 160
"""with the start tag and a typical client's payloads a message of about 290 bytes"""


@dataclass
class Peer:
    """A client reduced to bytes, so that it costs little: it counts bodies and answers every <r/>."""

    sock: Any
    received: int = 0
    handled: int = 0
    on_body: Callable[[int], None] = field(default=lambda count: None)

    def _receive(self) -> bytes:
        try:
            return bytes(self.sock.recv(65536))
        except OSError:  # closed by the bench itself
            return b""

    def read(self) -> None:
        """Read until the connection ends."""
        rest = b""
        while data := self._receive():
            data = rest + data
            # A token may be split between two reads; what is behind the last '>' is looked at again.
            cut = data.rfind(b">") + 1
            data, rest = data[:cut], data[cut:]
            bodies = data.count(b"</message>")
            self.received += bodies
            self.handled += bodies + data.count(b"</iq>") + data.count(b"</presence>") + data.count(b"<presence/>")
            if b"<r " in data:
                self.sock.sendall(b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % self.handled)
            if bodies:
                self.on_body(bodies)


def log_in(address: Address, user: str) -> ClientStream:
    """A bound stream; PLAIN, so that the client does not hash."""
    stream = ClientStream(address)
    stream.connect()
    stream.authenticate(user, "secret", mechanism="PLAIN")
    stream.request(
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>"
    )
    return stream


def peer(address: Address, user: str) -> Peer:
    """A client that is available, with XEP-0198."""
    stream = log_in(address, user)
    stream.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    stream.expect("{urn:xmpp:sm:3}enabled")
    stream.send("<presence/>")
    return Peer(stream._sock)


def message(to: str) -> bytes:
    """One chat message of about 290 bytes."""
    return (
        b"<message type='chat' id='0123456789abcdef' to='%s'><body>%s</body>"
        b"<active xmlns='http://jabber.org/protocol/chatstates'/></message>"
        % (
            to.encode(),
            BODY,
        )
    )


def throughput(host: Server, *, clients: int, messages: int, outstanding: int, rate: float) -> dict[str, Any]:
    """Messages between pairs of clients: as fast as `outstanding` per sender allow, or paced to `rate` per s in all."""
    peers = [peer(host.address, f"u{number}") for number in range(clients)]
    readers = [gevent.spawn(each.read) for each in peers]
    gevent.sleep(0.5)
    each_sends = messages // (clients // 2)

    def sender(number: int) -> None:
        text = message(f"u{number + 1}@localhost")
        source, target = peers[number], peers[number + 1]
        sent = 0
        arrived = gevent.event.Event()
        target.on_body = lambda count: arrived.set()
        while sent < each_sends:
            if rate:
                source.sock.sendall(text)
                sent += 1
                gevent.sleep(clients / 2 / rate)
            else:
                room = outstanding - (sent - target.received)
                if room < outstanding / 2:
                    arrived.clear()
                    arrived.wait(5)
                    continue
                room = min(room, each_sends - sent)
                source.sock.sendall(text * room + b"<r xmlns='urn:xmpp:sm:3'/>")
                sent += room
        while target.received < each_sends:
            gevent.sleep(0.01)

    before, began = host.cpu(), time.monotonic()
    gevent.joinall([gevent.spawn(sender, number) for number in range(0, clients, 2)], raise_error=True)
    took = time.monotonic() - began
    after = host.cpu()
    delivered = sum(each.received for each in peers)
    for each in peers:
        each.sock.close()
    gevent.joinall(readers, timeout=5)
    return {
        "delivered": delivered,
        "per_s": round(delivered / took),
        "gateway_us": round((after[0] - before[0]) / delivered * 1e6, 1),
        "redis_us": round((after[1] - before[1]) / delivered * 1e6, 1),
    }


def memory(host: Server, *, sessions: int, tls: bool) -> dict[str, Any]:
    """Resident memory of idle, available sessions with XEP-0198."""
    address = host.secure if tls else host.address
    warm = [peer(address, f"u{number}") for number in range(20)]
    gevent.sleep(1)
    before = host.gateway.memory_info().rss
    peers = [peer(address, f"u{number}") for number in range(20, 20 + sessions)]
    gevent.sleep(1)
    fresh = host.gateway.memory_info().rss
    readers = [gevent.spawn(each.read) for each in [*warm, *peers]]
    gevent.sleep(35)  # parsers of idle connections are parked by then
    parked = host.gateway.memory_info().rss
    for each in [*warm, *peers]:
        each.sock.close()
    gevent.joinall(readers, timeout=5)
    return {
        "sessions": sessions,
        "fresh_kb": round((fresh - before) / sessions / 1024, 1),
        "idle_kb": round((parked - before) / sessions / 1024, 1),
    }


def logins(host: Server, *, count: int, resume: bool) -> dict[str, Any]:
    """Logins with SCRAM-SHA-256 over direct TLS, or resumptions after a cut, 8 at once."""
    clients = [Client(f"u{number}", "secret", host.secure, resource="r") for number in range(count)]
    pool = Pool(8)
    if resume:
        for client in clients:
            pool.spawn(client.login)
        pool.join()
        for client in clients:
            client.cut()
        gevent.sleep(1)
    before, began = host.cpu(), time.monotonic()
    for client in clients:
        pool.spawn(client.resume if resume else client.login)
    pool.join()
    took, after = time.monotonic() - began, host.cpu()
    for client in clients:
        client.cut()
    return {
        "count": count,
        "per_s": round(count / took),
        "gateway_us": round((after[0] - before[0]) / count * 1e6),
        "redis_us": round((after[1] - before[1]) / count * 1e6),
    }


CONTACTS = 50

CALM_S = 0.5
"""a server that does next to nothing for so long has done all it was asked for"""


def settle(host: Server, within_s: float = 60) -> None:
    """Wait until the server has nothing left to do, so that it is not counted with what comes next."""
    deadline, spent = time.monotonic() + within_s, -1.0
    while (now := sum(host.cpu())) - spent > CALM_S / 20 and time.monotonic() < deadline:
        spent = now
        gevent.sleep(CALM_S)


def befriend(host: Server, users: int) -> list[Peer]:
    """Users u0, u1, … and the contacts behind them, who stay online, see each other's presence."""
    contacts = [peer(host.address, f"u{users + number}") for number in range(CONTACTS)]
    for each in contacts:
        gevent.spawn(each.read)
    names = [f"u{number}@localhost" for number in range(users)]
    ask, grant = "<presence to='%s' type='subscribe'/>", "<presence to='%s' type='subscribed'/>"

    def introduce(number: int) -> None:
        stream = log_in(host.address, f"u{number}")
        stream.send("".join(ask % f"u{users + other}@localhost" for other in range(CONTACTS)))
        stream.send("<iq type='get' id='r'><ping xmlns='urn:xmpp:ping'/></iq>")
        stream.expect("{jabber:client}iq")
        granting.append(stream)

    granting: list[ClientStream] = []
    pool = Pool(8)
    pool.map(introduce, range(users))
    for each in contacts:
        each.sock.sendall("".join((grant + ask) % (name, name) for name in names).encode())
    settle(host)
    for stream in granting:
        stream.send("".join(grant % f"u{users + other}@localhost" for other in range(CONTACTS)))
        stream.send("</stream:stream>")
    settle(host)
    for stream in granting:
        stream.cut()
    settle(host)
    return contacts


def contact_logins(host: Server, *, count: int) -> dict[str, Any]:
    """Logins with SCRAM-SHA-256 over direct TLS, each with its roster and the presence of 50 contacts online."""
    contacts = befriend(host, count)
    seen: list[int] = []

    def log_in_fully(number: int) -> None:
        stream = ClientStream(host.secure)
        stream.connect()
        stream.authenticate(f"u{number}", "secret", mechanism="SCRAM-SHA-256")
        stream.request(
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>"
        )
        stream.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        stream.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/>")
        online: set[str | None] = set()
        while len(online) < CONTACTS + 1:  # the own presence comes back, RFC 6121 section 4.2.2
            element = stream.receive(10)
            if element.tag == "{jabber:client}presence":
                online.add(element.get("from"))
        seen.append(len(online))
        stream.cut()

    pool = Pool(8)
    before, began = host.cpu(), time.monotonic()
    pool.map(log_in_fully, range(count))
    took, after = time.monotonic() - began, host.cpu()
    for each in contacts:
        each.sock.close()
    return {
        "count": len(seen),
        "contacts": CONTACTS,
        "per_s": round(count / took),
        "gateway_us": round((after[0] - before[0]) / count * 1e6),
        "redis_us": round((after[1] - before[1]) / count * 1e6),
    }


def main() -> None:
    """Run what was chosen and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what",
        nargs="*",
        default=["saturated", "paced", "memory", "memory-tls", "logins", "resumes", "contacts"],
        help="these by default; also archive, push and push-…; or one of sessions, gateways, costs",
    )
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--pushes", type=int, default=4000)
    parser.add_argument("--idle", type=int, default=20000, help="of `sessions`: so many in all")
    parser.add_argument("--cut", type=int, default=5000, help="of `sessions`: so many of them lose their link at once")
    parser.add_argument("--gateways", type=int, default=2, help="of `sessions` and `gateways`")
    parser.add_argument("--share", type=float, default=0.0, help="of `gateways`: of a core, for each of them; 0 = all")
    parser.add_argument("--masters", type=int, default=0, help="of `gateways`: of a Redis Cluster; 0 = one Redis")
    parser.add_argument("--plain", action="store_true", help="of `sessions`: without TLS")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.what == ["costs"]:
        costs()
        return
    if options.what == ["gateways"]:
        gateways(
            numbers=range(1, options.gateways + 1),
            share=options.share,
            clients=options.clients,
            messages=options.messages,
            masters=options.masters,
        )
        return
    if options.what == ["sessions"]:
        sessions(count=options.idle, cut=options.cut, gateways=options.gateways, is_secure=not options.plain)
        return
    runs: dict[str, Callable[[Server], dict[str, Any]]] = {
        "saturated": lambda host: throughput(
            host, clients=options.clients, messages=options.messages, outstanding=20, rate=0
        ),
        "paced": lambda host: throughput(
            host, clients=options.clients, messages=options.messages // 2, outstanding=20, rate=1000
        ),
        "memory": lambda host: memory(host, sessions=options.sessions, tls=False),
        "memory-tls": lambda host: memory(host, sessions=options.sessions, tls=True),
        "logins": lambda host: logins(host, count=300, resume=False),
        "resumes": lambda host: logins(host, count=300, resume=True),
        "contacts": lambda host: contact_logins(host, count=100),
        "archive": lambda host: archive(host, log_in(host.address, "u0"), 100_000),
    }
    runs |= {f"push-{name}": partial(push, provider=name, count=options.pushes) for name in PROVIDERS}
    every = [part for name in options.what for part in (PUSHES if name == "push" else [name])]
    unknown = [name for name in every if name not in runs]
    if unknown:
        parser.error(f"there is no {unknown[0]!r}; there are {', '.join(['push', *runs])}")
    for name in every:
        with server(users=max(options.clients, options.sessions + 20, 300)) as host:
            result = runs[name](host)
        print(
            json.dumps({"bench": name, **result})
            if options.json
            else f"{name:12} " + "  ".join(f"{k} {v}" for k, v in result.items()),
            flush=True,
        )


if __name__ == "__main__":
    main()
