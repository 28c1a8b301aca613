"""What other servers and their users send to push.<domain> (`wakegate appserver`), on a real Redis."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import redis

from gateway.mailbox import keys
from gateway.mailbox.devices import Devices, Limits
from gateway.mailbox.embedded import EmbeddedServer
from gateway.mailbox.opening import open_journal
from gateway.mailbox.settings import RedisSettings
from gateway.xmpp import ns
from gateway.xmpp.stanza import NotAnElement, peek
from tests.appserver.test_service import APPS, DOMAIN, form
from tests.fuzz.protocol import words
from tests.fuzz.target import Feed, Target
from workers.appserver.registration import Apps
from workers.appserver.service import Service
from workers.appserver.settings import PeerSettings

OWNER: Final = "juliet@peer.example/phone"
OTHERS: Final = ("eve@peer.example/x", "other.example", "eve@peer.example", "juliet@other.example/phone")
REGISTER: Final = {"app": "ios", "token": "ab" * 32, "device-id": "d"}


def _command(name: str, fields: dict[str, str]) -> str:
    return f"<command xmlns='{ns.COMMANDS}' node='{name}' action='execute'>{form(fields)}</command>"


@contextmanager
def _service() -> Iterator[Feed]:
    """The first byte: who asks. What is at NODE in an input is the node of somebody else's device."""
    with tempfile.TemporaryDirectory() as directory:
        server = EmbeddedServer(Path(directory), appendfsync="no")
        server.start()
        journal = open_journal(RedisSettings(url=server.url), Path(directory))
        journal.start()
        journal.wait_up(20)
        store = redis.Redis.from_url(server.url)
        peer = PeerSettings()
        devices = Devices(journal, DOMAIN, limits=Limits(5, 1_000_000, 86_400_000))
        service = Service(DOMAIN, peer, devices, Apps.allowed(DOMAIN, peer.apps, APPS, peer.content))

        def ask(payload: bytes, from_: str) -> bytes:
            stanza = peek(b"<iq id='q' type='set'>%b</iq>" % payload)
            asked = stanza.retagged({"from": from_, "to": DOMAIN, "type": stanza.attrs.get("type", "set")})
            return service.answer(peek(asked)) or b""

        answer = ask(_command("register", REGISTER).encode(), OWNER).decode()
        node = answer.partition("var='node'")[2].partition("<value>")[2].partition("</value>")[0]
        assert len(node) == 32, answer
        secret = answer.partition("var='secret'")[2].partition("<value>")[2].partition("</value>")[0]

        def kept() -> Any:
            return store.hgetall(keys.key(keys.prefix(f"{node}@{DOMAIN}"), "registrations", f"{node}@{DOMAIN}"))

        before = kept()
        assert before

        def feed(data: bytes) -> None:
            payload = data[1:].replace(b"NODE", node.encode())
            try:
                peek(b"<iq>%b</iq>" % payload)
            except NotAnElement:
                return
            events = store.dbsize()
            heard = ask(payload, OTHERS[data[0] % len(OTHERS)] if data else OTHERS[0])
            assert secret.encode() not in heard, "somebody else's secret"
            assert before == kept(), "somebody else's device"
            assert store.dbsize() < events + 100
            if heard:
                peek(heard)

        yield feed
        store.close()
        journal.stop()
        server.stop()


def _seeds() -> list[bytes]:
    summary = form({"FORM_TYPE": ns.PUSH_SUMMARY, "last-message-body": "hi", "message-count": "1"})
    publish = (
        f"<pubsub xmlns='{ns.PUBSUB}'><publish node='NODE'><item><notification xmlns='{ns.PUSH}'>{summary}"
        f"</notification></item></publish><publish-options>{form({'secret': 's'})}</publish-options></pubsub>"
    )
    found = [
        publish,
        _command("register", REGISTER),
        _command("register", {}),
        _command("unregister", {"node": "NODE"}),
        _command("unregister", {"device-id": "d"}),
        _command("register-push-gcm", {"token": "t", "device-id": "d"}),
        _command("register-device", {"provider": "tigase:messenger:apns:1", "device-token": "ab" * 32}),
        _command("unregister-device", {"provider": "tigase:messenger:apns:1", "device-token": "ab" * 32}),
        f"<query xmlns='{ns.DISCO_ITEMS}' node='{ns.COMMANDS}'/>",
        f"<query xmlns='{ns.DISCO_INFO}' node='register'/>",
    ]
    return [bytes([who]) + each.encode() for each in found for who in range(len(OTHERS))]


TARGETS: Final = (
    Target(
        "service", _service, _seeds, lambda: [*words(), b"NODE", b"register", b"unregister", b"device-id", b"secret"]
    ),
)
