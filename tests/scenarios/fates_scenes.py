"""Who is there when a message comes, as docs/fates.md has it, and what the server then counts and keeps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from xml.sax.saxutils import quoteattr

from gateway.demo.client import Client
from gateway.demo.stream import condition_of
from gateway.mailbox import keys
from gateway.xmpp import ns
from tests.support.census import Census
from tests.support.phone import Phone, online, stanza
from tests.support.pieces import Pieces, eventually
from tests.support.processes import Account

LIMIT = 40
"""of a queue, and of the offline store"""

KEPT = "resume='true' max='60'"
ROW = re.compile(rb"id=['\"](row\d+)['\"]")


# What the server counts, and where a message is


@cache
def census(house: Pieces) -> Census:
    """One for a server's whole life."""
    return Census(house.directory / "data")


def fates(house: Pieces) -> Counter[str]:
    return census(house).fates()


def waiting(house: Pieces) -> int:
    return census(house).waiting()


def rows(house: Pieces, user: str, name: str, of: str) -> dict[str, str]:
    """Row -> flags of the entries in a list."""
    entries = census(house).store.lrange(keys.key(keys.prefix(user), name, of), 0, -1)
    return {found[1].decode(): entry.split(b"|")[0][1:].decode() for entry in entries if (found := ROW.search(entry))}


def archived(house: Pieces, user: str) -> set[str]:
    entries = census(house).store.xrange(keys.key(keys.prefix(user), "archive", user))
    return {found[1].decode() for _, fields in entries if (found := ROW.search(fields[b"s"]))}


# Who is there


@dataclass
class Scene:
    """A recipient, prepared. `queues`: session ids that a row names; `other`: one that may have copies; `others`:
    messages that waited before.
    """

    house: Pieces
    sender: Phone
    account: Account
    to: str = ""
    queues: tuple[str, ...] = ()
    other: str = ""
    reader: Client | None = None
    clients: list[Client] = field(default_factory=list)
    resources: tuple[str, ...] = ()
    taken: int = 0
    others: int = 0
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def user(self) -> str:
        return self.account.jid

    def say(self, messages: dict[str, tuple[str, str]]) -> None:
        """Send messages: id -> type and what is inside; returns when each has its outcome."""
        for name, (type_, inner) in messages.items():
            self.sender.send(f"<message to={quoteattr(self.to)} type='{type_}' id='{name}'>{inner}</message>")
        self.sender.send("<iq type='get' id='all' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
        before = len(self.errors)
        while (element := self.sender.next()).get("id") != "all":
            self.hear(element)
        self.taken += len(messages) - (len(self.errors) - before)
        self.sender.ack()

    def hear(self, element: Any) -> None:
        if element.tag == stanza("message"):
            self.errors[element.get("id", "")] = condition_of(element.find(stanza("error")))

    def fill(self, count: int) -> None:
        self.say({f"fill{number}": ("chat", "<body>x</body>") for number in range(count)})

    def settle(self) -> None:
        """Everybody reads everything."""
        for resource in self.resources:
            self.clients.append(self.house.client(self.account, resource=resource).login())
        self.sender.ack()
        eventually(lambda: waiting(self.house) <= self.others, "every message to have its fate")
        for client in self.clients:
            client.cut()


def asleep(scene: Scene, phone: Phone) -> None:
    phone.cut()
    eventually(lambda: scene.house.session(scene.user, phone.session_id).get("state") == "asleep", "hibernation")


def request(phone: Phone, payload: str) -> None:
    phone.send(f"<iq type='set' id='ask'>{payload}</iq>")
    answer = phone.skip_to(stanza("iq"), stanza("presence"))

    assert "result" == answer.get("type")
    phone.ack()


def with_push(phone: Phone) -> Phone:
    fields = {"FORM_TYPE": ns.PUBSUB_PUBLISH_OPTIONS, "app": "chat", "token": "t"}
    form = "".join(f"<field var={quoteattr(var)}><value>{value}</value></field>" for var, value in fields.items())
    x = f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{form}</x>"
    request(phone, f"<enable xmlns='{ns.PUSH}' jid='push.localhost' node='n'>{x}</enable>")
    return phone


def with_carbons(phone: Phone) -> Phone:
    request(phone, f"<enable xmlns='{ns.CARBONS}'/>")
    return phone


def device(scene: Scene, resource: str = "phone") -> Phone:
    scene.resources = (*scene.resources, resource)
    return online(scene.house, scene.account, resource, enable=KEPT)


def reads(scene: Scene) -> None:
    scene.reader = scene.house.client(scene.account, resource="phone").login()
    scene.reader.wait_accepted()
    scene.clients.append(scene.reader)
    scene.resources, scene.to = ("phone",), scene.user


def frozen(scene: Scene) -> None:
    scene.queues, scene.to = (with_push(device(scene)).session_id,), scene.user


def inactive(scene: Scene) -> None:
    phone = device(scene)
    phone.send(f"<inactive xmlns='{ns.CSI}'/>")
    phone.round_trip()
    scene.queues, scene.to = (phone.session_id,), scene.user


def sleeping(scene: Scene) -> None:
    phone = with_push(device(scene))
    asleep(scene, phone)
    scene.queues, scene.to = (phone.session_id,), scene.user


def sleeping_beside(scene: Scene) -> None:
    sleeping(scene)
    scene.queues += (device(scene, "tablet").session_id,)


def that_device(scene: Scene) -> None:
    scene.other = with_carbons(device(scene, "tablet")).session_id
    scene.queues, scene.to = (with_push(device(scene)).session_id,), f"{scene.user}/phone"


def that_device_reading(scene: Scene) -> None:
    scene.other = with_carbons(device(scene, "tablet")).session_id
    scene.queues, scene.to = (device(scene).session_id,), f"{scene.user}/phone"


def that_device_asleep(scene: Scene) -> None:
    scene.other = with_carbons(device(scene, "tablet")).session_id
    phone = with_push(device(scene))
    asleep(scene, phone)
    scene.queues, scene.to = (phone.session_id,), f"{scene.user}/phone"


def gone_beside(scene: Scene) -> None:
    scene.queues, scene.to = (device(scene, "tablet").session_id,), f"{scene.user}/phone"


def negative(scene: Scene) -> None:
    phone = device(scene)
    phone.send("<presence><priority>-1</priority></presence>")
    phone.round_trip()
    scene.queues, scene.to = (phone.session_id,), scene.user


def nobody(scene: Scene) -> None:
    phone = with_push(device(scene))
    phone.stream.end()
    eventually(lambda: not scene.house.session(scene.user, phone.session_id), "the end of the session")
    scene.to = scene.user


def nobody_and_full(scene: Scene) -> None:
    scene.resources, scene.to = ("phone",), scene.user
    scene.fill(LIMIT)


def full(scene: Scene) -> None:
    scene.queues, scene.to = (device(scene).session_id,), scene.user
    scene.fill(LIMIT)


def both_full(scene: Scene) -> None:
    full(scene)
    scene.fill(LIMIT + 2)


def blocked(scene: Scene) -> None:
    phone = device(scene)
    request(phone, f"<block xmlns='{ns.BLOCKING}'><item jid='{scene.sender.account.jid}'/></block>")
    scene.to = scene.user


def blocking(scene: Scene) -> None:
    device(scene)
    request(scene.sender, f"<block xmlns='{ns.BLOCKING}'><item jid='{scene.user}'/></block>")
    scene.to = scene.user


def no_account(scene: Scene) -> None:
    scene.to = "nobody-at-all@localhost"


PREPARED: tuple[Callable[[Scene], None], ...] = (
    reads, frozen, inactive, sleeping, sleeping_beside, that_device_reading, that_device_asleep, gone_beside, negative,
    nobody, nobody_and_full, full, both_full, blocked, blocking, no_account,
)  # fmt: skip
