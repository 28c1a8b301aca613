"""A name server on loopback, whose answers a test chooses."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import gevent


class NameServer:
    """Answers from `names` (name -> addresses); a name of `silent` never, and others do not exist."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))

    def resolver(self) -> dns.resolver.Resolver:
        """A resolver that asks here and nowhere else."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self._sock.getsockname()[1]
        return resolver

    def run(self) -> None:
        while True:
            data, sender = self._sock.recvfrom(4096)
            answer = self._answer(dns.message.from_wire(data))
            if answer is not None:
                self._sock.sendto(answer.to_wire(), sender)

    def close(self) -> None:
        self._sock.close()

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append(name)
        if name in self.silent:
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if name not in self.names:
            answer.set_rcode(dns.rcode.NXDOMAIN)
            return answer
        kind = dns.rdatatype.to_text(question.rdtype)
        found = [one for one in self.names[name] if (":" in one) == (kind == "AAAA")]
        if found:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
        return answer


@contextmanager
def name_server() -> Iterator[NameServer]:
    """One that runs."""
    server = NameServer()
    running = gevent.spawn(server.run)
    try:
        yield server
    finally:
        running.kill()
        server.close()
