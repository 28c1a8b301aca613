"""What a page of a long archive costs, wherever it is (XEP-0313). With PostgreSQL: WAKEGATE__ARCHIVE__URL=… ."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any, Protocol

from gateway.archive.database import Database
from gateway.archive.settings import SQLITE, ArchiveSettings
from gateway.archive.store import ArchiveStore
from gateway.demo.stream import Address, ClientStream
from gateway.mailbox import keys
from gateway.mailbox.archive_ids import LATEST, to_text
from gateway.mailbox.archives import Kept
from gateway.mailbox.embedded import resolve
from gateway.mailbox.journal import Journal

USER = "u0@localhost"
RECENT = 500
CONTACTS = 100
PAGE = 50
ROUNDS = 20
FIRST_MS = 1_700_000_000_000


class Host(Protocol):
    """What is needed of the server under test."""

    address: Address
    config: Path

    def cpu(self) -> tuple[float, float]:
        """CPU seconds used so far by the gateway and by Redis."""


def entry(number: int) -> Kept:
    """A chat message of about 290 bytes with one of a hundred contacts."""
    peer = f"friend{number % CONTACTS}@localhost/phone"
    stanza = (
        f"<message type='chat' id='0123456789abcdef' from='{peer}' to='{USER}'><body>{'x' * 160}</body>"
        "<active xmlns='http://jabber.org/protocol/chatstates'/></message>"
    )
    return Kept(FIRST_MS + 1000 * number << 20, peer, stanza.encode())


def fill(host: Host, count: int) -> None:
    """An archive as the archiver leaves it: the newest in Redis, all others in SQL."""
    url = os.environ.get("WAKEGATE__ARCHIVE__URL", SQLITE)
    store = ArchiveStore(Database(ArchiveSettings(url=url).address(host.config.parent)))
    store.erase(USER, LATEST - 1)
    for first in range(0, count - RECENT, 1000):
        store.insert(USER, [entry(number) for number in range(first, min(first + 1000, count - RECENT))])
    store.close()
    journal = Journal(resolve("embedded", host.config.parent))
    journal.start()
    at = keys.prefix(USER)
    for number in range(count - RECENT, count):
        one = entry(number)
        journal.call("XADD", keys.key(at, "archive", USER), to_text(one.id), "w", one.peer, "s", one.stanza)
    journal.call("HSET", keys.key(at, "account", USER), "arch_moved", to_text(entry(count - RECENT - 1).id))
    journal.call("SADD", keys.key(at, "archives"), USER)
    journal.stop()


def page(stream: ClientStream, after: int | None, peer: str) -> None:
    """One page, from behind that message on; None: the last one."""
    field = f"<field var='with'><value>{peer}</value></field>" if peer else ""
    edge = "<before/>" if after is None else f"<after>{to_text(entry(after).id)}</after>" if after >= 0 else ""
    stream.send(
        "<iq type='set' id='page'><query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'>"
        f"<field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>{field}</x>"
        f"<set xmlns='http://jabber.org/protocol/rsm'><max>{PAGE}</max>{edge}</set></query></iq>"
    )
    results = 0
    while (element := stream.receive(30)).tag != "{jabber:client}iq":
        results += element.tag == "{jabber:client}message"
    if results != PAGE or element.get("type") != "result":
        raise SystemExit(f"expected a page of {PAGE}, got {results}, {element.get('type')}")


def archive(host: Host, stream: ClientStream, count: int) -> dict[str, Any]:
    """ms until a page of 50 is there (median), and CPU of the gateway and Redis for it (mean), at several places."""
    fill(host, count)
    found: dict[str, Any] = {}
    for peer in ("", "friend7@localhost"):
        places = {"first": -1, "middle": count // 2 // CONTACTS * CONTACTS + 7, "last": None}
        for name, after in places.items():
            page(stream, after, peer)
            took, before = [], host.cpu()
            for _ in range(ROUNDS):
                began = time.monotonic()
                page(stream, after, peer)
                took.append(time.monotonic() - began)
            gateway, redis = (after_ - before_ for after_, before_ in zip(host.cpu(), before, strict=True))
            key = f"{name}_with" if peer else name
            found[f"{key}_ms"] = round(statistics.median(took) * 1000, 1)
            found[f"{key}_cpu_us"] = f"{gateway / ROUNDS * 1e6:.0f}+{redis / ROUNDS * 1e6:.0f}"
    return found
