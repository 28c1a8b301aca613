"""docs/fates.md, row by row on a running server. After each row the counters of fates add up to the messages taken."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from gateway.demo.client import Client
from gateway.demo.stream import condition_of
from gateway.mailbox import keys
from gateway.xmpp import ns
from tests.scenarios.fates_table import (
    ARCHIVED,
    BEHIND,
    BOTH,
    BOUNCED,
    CONTENTS,
    DROPPED,
    ENDS,
    HANDED,
    OFFLINE,
    QUEUE,
    REFUSED,
    STATES,
    Content,
    End,
    State,
    page,
)  # fmt: skip
from tests.support.census import Census
from tests.support.phone import Phone, online, stanza
from tests.support.pieces import Pieces, eventually, pieces
from tests.support.processes import Account

LIMIT = 40
"""of a queue, and of the offline store"""

KEPT = "resume='true' max='60'"
ROW = re.compile(rb"id=['\"](row\d+)['\"]")


ELSEWHERE = frozenset("dvox")
"""flags that are no part of what a message's content decides here: that it waited, and what unread messages and calls
need to know
"""


def settings(directory: Path, resend: str) -> dict[str, Any]:
    key = directory / "service-account.json"
    key.write_text("{}")
    return {
        "smacks": {
            "smacks_hibernation_time": 1, "smacks_max_hibernation_time": 600, "smacks_max_ack_delay": 0.5,
            "smacks_max_queue_size": LIMIT, "resend_on_timeout": resend if resend == "if_offline" else resend == "true",
        },
        "offline": {"access_max_user_messages": LIMIT},
        "push.apps.chat": {"provider": "fcm", "service_account_file": str(key)},
    }  # fmt: skip


@pytest.fixture(scope="module", params=["if_offline", "true", "false"], ids=str)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    directory = tmp_path_factory.mktemp("fates")
    with pieces(directory, commands=("sweeper",), settings=settings(directory, request.param)) as server:
        server.stock_accounts(60)
        yield server


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


# The tables


def a_scene(house: Pieces) -> Scene:
    sender = online(house, house.account(), "orchard", enable=KEPT)
    return Scene(house, sender, house.account(), others=waiting(house))


def messages() -> dict[str, tuple[str, str]]:
    return {f"row{number}": (content.type, content.inner) for number, content in enumerate(CONTENTS)}


def places(scene: Scene) -> dict[str, list[str]]:
    """Row -> every place in which it is."""
    found: dict[str, list[str]] = {}
    queues = [rows(scene.house, scene.user, "queue", sid) for sid in scene.queues]
    lists = [(QUEUE, names) for names in queues]
    lists += [(BEHIND, rows(scene.house, scene.user, "backlog", sid)) for sid in scene.queues]
    lists += [
        (OFFLINE, rows(scene.house, scene.user, "offline", scene.user)),
        (REFUSED, dict.fromkeys(scene.errors, "")),
    ]
    for place, names in lists:
        for name in names:
            if name.startswith("row"):
                found.setdefault(name, []).append(place)
    if scene.reader:
        for one in scene.reader.received:
            if one.get("id", "").startswith("row"):
                found.setdefault(one.get("id", ""), []).append(QUEUE)
    return found


def expected_places(state: State, content: Content) -> list[str]:
    place = state.place(content)
    if place == REFUSED:
        return [REFUSED] if state.tells(content) else []
    return {BOTH: [QUEUE, QUEUE], QUEUE: [QUEUE], BEHIND: [BEHIND], OFFLINE: [OFFLINE]}.get(place, [])


def named(found: dict[str, Any]) -> dict[str, Any]:
    return {content.name: found[row] for row, content in zip(messages(), CONTENTS, strict=True) if found.get(row)}


@pytest.mark.parametrize("house", ["if_offline"], indirect=True)
@pytest.mark.parametrize(
    ("state", "prepare"), list(zip(STATES, PREPARED, strict=True)), ids=[state.name for state in STATES]
)
def test_where_a_message_goes(house: Pieces, state: State, prepare: Callable[[Scene], None]) -> None:
    before, scene = fates(house), a_scene(house)
    prepare(scene)
    scene.say(messages())
    if scene.reader:
        expected = sum(bool(expected_places(state, content) == [QUEUE]) for content in CONTENTS)
        eventually(lambda: sum(map(len, places(scene).values())) >= expected, "the reader")

    taken = {c.name: state.place(c) != REFUSED for c in CONTENTS}
    assert {c.name: p for c in CONTENTS if (p := expected_places(state, c))} == named(places(scene))
    assert {state.condition} >= {c for row, c in scene.errors.items() if row.startswith("row")}
    assert {c.name for c in CONTENTS if taken[c.name] and "a" in c.traits} == set(
        named(dict.fromkeys(archived(scene.house, scene.user), True))
    )
    copies = rows(house, scene.user, "queue", scene.other) if scene.other else {}
    assert {c.name for c in CONTENTS if state.copies and "c" in c.traits} == set(named(dict.fromkeys(copies, True)))
    flags_agree(scene)
    if state.push:
        eventually(lambda: house.events(scene.user), "a push event")
    else:
        assert [] == house.events(scene.user)
    nowhere = Counter(
        ARCHIVED if "a" in c.traits else DROPPED for c in CONTENTS if taken[c.name] and not expected_places(state, c)
    )
    now = fates(house) - before
    assert (nowhere[ARCHIVED], nowhere[DROPPED]) == (now[ARCHIVED], now[DROPPED])
    assert scene.taken - refused_silently(state) + len(scene.errors) == now["accepted"]
    scene.settle()
    adds_up(house, before)


def refused_silently(state: State) -> int:
    return sum(state.place(content) == REFUSED and not state.tells(content) for content in CONTENTS)


def flags_agree(scene: Scene) -> None:
    """What the first table says of each message is what its entry says."""
    for sid in scene.queues:
        for name, flags in rows(scene.house, scene.user, "queue", sid).items():
            content = CONTENTS[int(name[3:])]
            assert set(content.traits) == set(flags) - ELSEWHERE, content.name
            assert ("d" in flags) == ("h" in content.traits and is_inactive(scene, sid)), content.name


def is_inactive(scene: Scene, sid: str) -> bool:
    return scene.house.session(scene.user, sid).get("inactive") == "1"


def adds_up(house: Pieces, before: Counter[str]) -> None:
    now = fates(house) - before

    assert now["accepted"] == now["acked"] + now["archived"] + now["bounced"] + now["dropped"] > 0


@pytest.mark.parametrize("others", [False, True], ids=["alone", "another device there"])
def test_what_becomes_of_what_a_session_left(house: Pieces, others: bool) -> None:
    end = next(e for e in ENDS if e.others == others and resend_of(house) == e.resend)
    before, scene = fates(house), a_scene(house)
    other = device(scene, "tablet") if others else None
    phone = online(house, scene.account, "phone")
    scene.to, scene.resources = f"{scene.user}/phone", (*scene.resources, "phone")
    scene.say(messages())
    sid = phone.session_id
    assert {content.name for content in CONTENTS} == set(named(rows(house, scene.user, "queue", sid)))
    phone.cut()
    eventually(lambda: not house.session(scene.user, sid), "the end of the session")
    returned = {content.name for content in CONTENTS if end.fate(content) == BOUNCED}
    while len(scene.errors) < len(returned):
        scene.hear(scene.sender.next())

    handed = rows(house, scene.user, "queue", other.session_id) if other else {}
    assert returned == set(named(scene.errors))
    assert {"service-unavailable"} >= set(scene.errors.values())
    assert of(end, OFFLINE) == set(named({name: name for name in rows(house, scene.user, "offline", scene.user)}))
    assert of(end, HANDED) == set(named({name: name for name in handed}))
    now = fates(house) - before
    assert [len(of(end, fate)) for fate in (ARCHIVED, BOUNCED, DROPPED)] == [
        now[fate] for fate in (ARCHIVED, BOUNCED, DROPPED)
    ]
    scene.settle()
    adds_up(house, before)


def of(end: End, fate: str) -> set[str]:
    return {content.name for content in CONTENTS if end.fate(content) == fate}


def resend_of(house: Pieces) -> str:
    found = re.search(r"resend_on_timeout = (\S+)", house.config.read_text())
    return found[1].strip('"') if found else ""


def test_the_document_says_what_is_tried_here() -> None:
    document = Path(__file__).parents[2] / "docs" / "fates.md"

    assert page() == document.read_text(), ".venv/bin/python -m tests.scenarios.fates_table > docs/fates.md"
