"""A process that sends as fast as it is let.

    python -m gevent.monkey --module tests.store.flood PORT CAFILE COUNT TO… -- ACCOUNT…

Each account sends COUNT messages to each TO, reads what comes back, and keeps no more than a few unacknowledged. The
last line says how many came back as errors. In a process of its own, so that whoever measures beside it does not
measure it.
"""

import sys
from xml.etree.ElementTree import Element

import gevent

from gateway.demo.client import Client
from gateway.demo.stream import Address
from gateway.xmpp import ns
from tests.support.processes import DOMAIN, PASSWORD

MOST_UNACKED = 300


def flood(client: Client, recipients: list[str], count: int) -> tuple[int, int]:
    """How many were sent, and how many of them came back."""
    name = client.username
    errors = 0

    def look(stanza: Element) -> None:
        nonlocal errors
        errors += stanza.get("type") == "error"

    client.keep, client.on_stanza = False, look
    for number in range(count):
        for to in recipients:
            client.send_message(to, f"{name} {number}")
        if number % 25 == 0:
            client.request_ack()
            client.wait_until(lambda: len(client.unacked) < MOST_UNACKED, 300)
    client.wait_accepted(300)
    client.keep = True
    client.request("get", f"<ping xmlns='{ns.PING}'/>", DOMAIN)  # behind the last error
    client.close()
    return count * len(recipients), errors


def main() -> None:
    port, cafile, count, *rest = sys.argv[1:]
    at = rest.index("--")
    address = Address("127.0.0.1", int(port), DOMAIN, "direct", cafile)
    clients = [Client(name, PASSWORD, address, resource="flood") for name in rest[at + 1 :]]
    gevent.joinall([gevent.spawn(client.login, max_s=60) for client in clients], raise_error=True)
    print("ready", flush=True)
    greenlets = [gevent.spawn(flood, client, rest[:at], int(count)) for client in clients]
    gevent.joinall(greenlets, raise_error=True)
    print(sum(one.value[0] for one in greenlets), sum(one.value[1] for one in greenlets))


if __name__ == "__main__":
    main()
