"""A burst to one client that sleeps and one that reads nothing: `WAKEGATE_BURST=50000 pytest -s` on this file.

What is looked at: memory of the gateway, what the senders hear, and how long everybody else's messages take.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree.ElementTree import Element

import gevent
import pytest

from gateway.demo.client import Client
from gateway.xmpp import ns
from tests.support.processes import Server, running

BURST = int(os.environ.get("WAKEGATE_BURST", "0"))
SENDERS, PAIRS, CALM_S = 20, 10, 10.0

UNLIMITED: dict[str, list[int]] = {
    name: [] for name in ("connection_stanzas", "connection_bytes", "account_stanzas", "account_bytes")
}
"""with WAKEGATE_UNLIMITED=1: nothing slows the senders but Redis"""

pytestmark = pytest.mark.skipif(not BURST, reason="by hand: WAKEGATE_BURST=50000")


class Bystanders:
    """Pairs of clients that have nothing to do with the burst: each says something five times a second."""

    def __init__(self, server: Server) -> None:
        self.took: list[float] = []
        accounts = server.add_accounts(2 * PAIRS)
        self.clients = [server.client(account, resource="calm", tls="direct").login(max_s=60) for account in accounts]
        for client in self.clients[1::2]:
            client.keep = False
            client.on_stanza = self._came
        pairs = zip(self.clients[::2], self.clients[1::2], strict=True)
        self._talking = [gevent.spawn(self._talk, *pair) for pair in pairs]

    def _came(self, stanza: Element) -> None:
        body = stanza.findtext(f"{{{ns.CLIENT}}}body")
        if body:
            self.took.append(time.monotonic() - float(body))

    def _talk(self, one: Client, other: Client) -> None:
        while True:
            one.send_message(other.jid, str(time.monotonic()))
            gevent.sleep(0.2)

    def p99_ms(self) -> float:
        """Of what came since the last call."""
        took, self.took = sorted(self.took), []
        return 1000 * took[int(0.99 * len(took))]

    def stop(self) -> None:
        gevent.killall(self._talking)
        for client in self.clients:
            client.cut()


def test_a_burst_costs_neither_memory_nor_others(tmp_path: Path) -> None:
    settings = {"limits": UNLIMITED} if "WAKEGATE_UNLIMITED" in os.environ else {}
    with running(tmp_path, settings=settings) as server:
        sleeper, stuck = (server.client(account, resource="p", tls="direct") for account in server.add_accounts(2))
        for client in (sleeper, stuck):
            client.login(max_s=600)
        names = [account.name for account in server.add_accounts(SENDERS)]
        bystanders = Bystanders(server)
        gevent.sleep(CALM_S)
        (gateway,) = server.children("gateway")
        before_ms, before = bystanders.p99_ms(), gateway.memory_info().rss
        sleeper.cut()
        stuck.freeze()
        count = BURST // SENDERS
        flood = subprocess.Popen(
            [sys.executable, "-m", "gevent.monkey", "--module", "tests.store.flood",
             str(server.ports["c2s_tls"]), server.cafile, str(count),
             f"{sleeper.username}@localhost", f"{stuck.username}@localhost", "--", *names],
            cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert flood.stdout is not None
        assert "ready" == flood.stdout.readline().strip()
        bystanders.took.clear()  # log-ins cost more than messages, and are not what is looked at
        most = before
        began, cpu = time.monotonic(), sum(gateway.cpu_times()[:2])
        while flood.poll() is None:
            gevent.sleep(0.5)
            most = max(most, gateway.memory_info().rss)
        took_s, cpu_s = time.monotonic() - began, sum(gateway.cpu_times()[:2]) - cpu
        during_ms = bystanders.p99_ms()
        bystanders.stop()
        sent, refused = map(int, flood.stdout.read().split()[-2:])
        stuck.cut()

    print(f"\nsent {sent}, refused {refused}, in {took_s:.0f} s and {cpu_s:.0f} s of the gateway's CPU")
    print(f"memory of the gateway: {before >> 20} MiB before, {most >> 20} MiB at most")
    print(f"others' p99: {before_ms:.1f} ms before, {during_ms:.1f} ms during the burst")

    assert 0 == flood.returncode
    assert refused == max(0, sent - 2 * 6000)  # a queue and an offline store for each
    assert most - before < 32 << 20
    assert during_ms < max(3 * before_ms, 30)
