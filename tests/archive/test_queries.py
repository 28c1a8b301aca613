"""Queries as clients write them, with every filter and every page, against a plain list; the seam lies anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.archive.opening import store_of
from gateway.archive.settings import ArchiveSettings
from gateway.features import mam
from gateway.hooks import Query
from gateway.mailbox import keys
from gateway.mailbox.archive_ids import LATEST, ms_of, to_text
from gateway.mailbox.archives import Kept
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Grip
from gateway.sections import LimitSettings, ServerSettings
from gateway.settings import Settings
from gateway.xmpp import ns
from gateway.xmpp.delay import stamp
from gateway.xmpp.errors import StanzaError
from gateway.xmpp.jid import JID
from gateway.xmpp.stanza import peek
from tests.archive.world import ArchiveWorld, numbered
from tests.mailbox.world import JULIET, Client, a_world

PEERS = ("a@localhost/x", "a@localhost/y", "b@localhost", "juliet@localhost/phone")
ABSENT = "1234567890123-7"


@dataclass
class Asker:
    """The session of who asks, and the process's services: as much of both as a query needs."""

    client: Client
    settings: Settings
    mailbox: Mailbox
    jid: JID = field(default_factory=lambda: JID.parse(f"{JULIET}/phone"))

    @property
    def grip(self) -> Grip:
        return self.client.grip

    def ask(self, inner: str) -> tuple[list[str], str]:
        """The ids of the messages that came, and the answer, or the error's condition."""
        iq = peek(f"<iq type='set' id='1'><query xmlns='{ns.MAM}'>{inner}</query></iq>".encode())
        answers: list[bytes] = []
        view: Any = self
        query = Query(
            session=view, iq=iq, to=self.jid.bare, services=view, reply=answers.append, fail=lambda error: None
        )
        try:
            mam.ask(query)
        except StanzaError as error:
            return [], str(error.condition)
        found = [re.search(rb"<result[^>]* id='([^']*)'", one) for one in self.client.stanzas()]
        self.client.ack_all()
        return [match[1].decode() for match in found if match], answers[0].decode()


@pytest.fixture
def asker(redis_url: str, tmp_path: Path) -> Iterator[tuple[Asker, ArchiveWorld]]:
    with a_world(redis_url) as mailboxes:
        mailboxes.account()
        settings = Settings({"archive": ArchiveSettings(default_page=5, largest_page=8),
                             "server": ServerSettings(data_dir=tmp_path), "limits": LimitSettings()})  # fmt: skip
        store = store_of(settings)
        asker = Asker(mailboxes.client(), settings, mailboxes.mailbox)
        yield asker, ArchiveWorld(mailboxes, store)
        store.close()


@dataclass(frozen=True)
class Asked:
    """What a client says. Numbers are indexes into the archive; -1 is an id that is not in it."""

    peers: list[str]
    in_sql: int
    peer: str | None
    start: int | None
    end: int | None
    after_id: int | None
    before_id: int | None
    ids: list[int] | None
    after: int | None
    before: int | str | None
    max: int | None
    is_flipped: bool


@st.composite
def queries(draw: st.DrawFn) -> Asked:
    peers = draw(st.lists(st.sampled_from(PEERS), min_size=1, max_size=14))
    inside = st.integers(0, len(peers) - 1)
    known = st.one_of(st.none(), st.none(), inside, st.sampled_from([*range(len(peers)), -1]))
    return Asked(
        peers,
        draw(st.integers(0, len(peers))),
        draw(st.sampled_from([None, "a@localhost", "a@localhost/x", "b@localhost", "juliet@localhost", "c@localhost"])),
        draw(st.one_of(st.none(), inside)),
        draw(st.one_of(st.none(), inside)),
        draw(known),
        draw(known),
        draw(st.one_of(st.none(), st.none(), st.lists(inside, min_size=1, max_size=5))),
        draw(known),
        draw(st.one_of(known, st.just(""))),
        draw(st.one_of(st.none(), st.integers(0, 12))),
        draw(st.booleans()),
    )


def written(asked: Asked, everything: list[Kept]) -> str:
    def name(index: int) -> str:
        return ABSENT if index < 0 else to_text(everything[index].id)

    fields = {
        "with": [asked.peer] if asked.peer else [],
        "start": [stamp(ms_of(everything[asked.start].id))] if asked.start is not None else [],
        "end": [stamp(ms_of(everything[asked.end].id))] if asked.end is not None else [],
        "after-id": [name(asked.after_id)] if asked.after_id is not None else [],
        "before-id": [name(asked.before_id)] if asked.before_id is not None else [],
        "ids": [name(index) for index in asked.ids or ()],
        "FORM_TYPE": [ns.MAM],
    }
    form = "".join(
        f"<field var='{var}'>{''.join(f'<value>{value}</value>' for value in values)}</field>"
        for var, values in fields.items()
        if values
    )
    rsm = f"<max>{asked.max}</max>" if asked.max is not None else ""
    rsm += f"<after>{name(asked.after)}</after>" if asked.after is not None else ""
    if isinstance(asked.before, int):
        rsm += f"<before>{name(asked.before)}</before>"
    elif asked.before is not None:
        rsm += "<before/>"
    return (
        f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{form}</x><set xmlns='{ns.RSM}'>{rsm}</set>"
        + "<flip-page/>" * asked.is_flipped
    )


def expected(asked: Asked, everything: list[Kept]) -> tuple[list[str], bool, int] | None:
    """What the standards say, word by word: the page in its order, complete?, the count; None: item-not-found."""
    if -1 in (asked.after_id, asked.before_id, asked.after, asked.before):
        return None
    result = []
    for index, entry in enumerate(everything):
        bare = entry.peer.partition("/")[0]
        if asked.peer is not None and asked.peer != (entry.peer if "/" in asked.peer else bare):
            continue
        if (asked.start is not None and index < asked.start) or (asked.end is not None and index > asked.end):
            continue
        if asked.after_id is not None and index <= asked.after_id:
            continue
        if asked.before_id is not None and index >= asked.before_id:
            continue
        if asked.ids is not None and index not in asked.ids:
            continue
        result.append(index)
    rest = [index for index in result if asked.after is None or index > asked.after]
    rest = [index for index in rest if not isinstance(asked.before, int) or index < asked.before]
    most = min(5 if asked.max is None else asked.max, 8)
    page = (rest[-most:] if most else []) if asked.before is not None else rest[:most]
    ids = [to_text(everything[index].id) for index in page]
    return (ids[::-1] if asked.is_flipped else ids), len(page) == len(rest), len(rest)


def clear(world: ArchiveWorld) -> None:
    at = keys.prefix(JULIET)
    world.mailboxes.redis.delete(keys.key(at, "archive", JULIET))
    world.mailboxes.redis.hdel(keys.key(at, "account", JULIET), "arch_moved", "arch_pruned")
    world.store.erase(JULIET, LATEST - 1)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=queries())
def test_any_query_gets_what_the_standard_says(asker: tuple[Asker, ArchiveWorld], asked: Asked) -> None:
    client, world = asker
    clear(world)
    everything = [
        Kept(entry.id, peer, entry.stanza) for entry, peer in zip(numbered(len(asked.peers)), asked.peers, strict=True)
    ]
    world.put(everything)
    world.move(recent=len(everything) - asked.in_sql)
    wanted = expected(asked, everything)
    ids, answer = client.ask(written(asked, everything))
    if wanted is None:
        assert ([], "item-not-found") == (ids, answer)
        return
    page, is_complete, count = wanted

    assert page == ids
    assert is_complete == ("complete='true'" in answer)
    in_order = page[::-1] if asked.is_flipped else page
    if page:
        assert f">{in_order[0]}</first><last>{in_order[-1]}</last>" in answer
    else:
        assert "<first" not in answer
    told = re.search(r"<count>(\d+)</count>", answer)
    if asked.max == 0:
        assert told is not None
    if told is not None and asked.after is None and asked.before in (None, ""):
        assert count == int(told[1])


def test_a_full_queue_gets_a_shorter_page_and_then_a_word(redis_url: str, tmp_path: Path) -> None:
    with a_world(redis_url, queue=10) as mailboxes:
        mailboxes.account()
        settings_ = Settings({
            "archive": ArchiveSettings(), "server": ServerSettings(data_dir=tmp_path), "limits": LimitSettings()
        })  # fmt: skip
        asker = Asker(mailboxes.client(), settings_, mailboxes.mailbox)
        ArchiveWorld(mailboxes, store_of(settings_)).put(numbered(30))
        names = [to_text(entry.id) for entry in numbered(30)]
        first, answer = asker.ask("")
        last, _ = asker.ask(f"<set xmlns='{ns.RSM}'><before/></set>")
        for _ in range(10):
            asker.client.append(b"<iq/>")

        assert names[:9] == first
        assert "complete" not in answer
        assert names[-9:] == last
        assert ([], "resource-constraint") == asker.ask("")
