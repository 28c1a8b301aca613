"""docs/fates.md, row by row on a running server. After each row the counters of fates add up to the messages taken."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.fates_scenes import (
    KEPT,
    LIMIT,
    PREPARED,
    Scene,
    archived,
    device,
    fates,
    rows,
    waiting,
)
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
from tests.support.phone import online
from tests.support.pieces import Pieces, eventually, pieces

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
