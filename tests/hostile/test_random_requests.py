"""Requests put together at random from the words that the server knows, to everybody: what `test_iq_handlers` tries one
by one. `WAKEGATE_FUZZ_S=600` goes on for so many seconds, `WAKEGATE_FUZZ_SEED=7` begins at that seed; otherwise the
same requests come in every run.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from typing import Any, Final
from xml.etree.ElementTree import Element

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from gateway.features import FEATURES
from gateway.xmpp import ns
from tests.hostile.attacker import Asked, Attacker, close_attackers, error_of
from tests.hostile.mutations import VALUES, mutations, parse, payload_of, split
from tests.hostile.stage import Stage, a_stage, differences
from tests.hostile.valid_requests import DECLARED, HOST, ROWS, SERVER, form
from tests.support.processes import DOMAIN, Account

SECONDS: Final = float(os.environ.get("WAKEGATE_FUZZ_S", "0"))

FIRST: Final = int(os.environ.get("WAKEGATE_FUZZ_SEED", "0"))

BATCHES: Final = 40
"""of up to `MOST` requests, in a run of CI"""

MOST: Final = 20
LIFE: Final = 20
"""batches of one attacker: then another comes, whose account is new"""

ADMIN: Final = "user1"
"""the first account of a server"""

TREES: Final = [parse(row.payload) for row in ROWS.values() if row.name != "removal"]
ELEMENTS: Final = [element for tree in TREES for element in tree.iter() if split(element.tag)[1] != "remove"]
"""but what would end the attacker's account"""

NAMESPACES: Final = sorted(
    {value for name, value in vars(ns).items() if name.isupper() and isinstance(value, str)} - {ns.XML}
)
NAMES: Final = sorted({split(element.tag)[1] for element in ELEMENTS} | {"item", "query", "x", "field", "options"})
ATTRIBUTES: Final = sorted({name for element in ELEMENTS for name in element.attrib} | {"subid", "ask", "approved"})
WORDS: Final = sorted(
    {value for element in ELEMENTS for value in (*element.attrib.values(), element.text or "")} | set(VALUES) | {ns.MAM}
)
HANDLED: Final = sorted(DECLARED.iq)

words = st.sampled_from(WORDS)
addresses = st.sampled_from(
    ["", "%own", SERVER, HOST, "%stranger", "%stranger/phone", "%friend", "%friend/phone", "%blocker", "%blocked",
     "%sleeper", f"nobody@{DOMAIN}", "elsewhere.example", f"x@{HOST}", "@"]
)  # fmt: skip


def _built(tag: str, attrs: dict[str, str], text: str, children: list[Element]) -> Element:
    element = Element(tag, attrs)
    element.text = text
    element.extend(children)
    return element


tags = st.builds(lambda namespace, name: f"{{{namespace}}}{name}", st.sampled_from(NAMESPACES), st.sampled_from(NAMES))
known = st.sampled_from(ELEMENTS)
attributes = st.dictionaries(st.sampled_from(ATTRIBUTES), words, max_size=3)


def _around(children: st.SearchStrategy[Element]) -> st.SearchStrategy[Element]:
    shape = st.one_of(tags, known.map(lambda element: element.tag))
    return st.builds(_built, shape, attributes, st.one_of(st.just(""), words), st.lists(children, max_size=3))


elements = st.recursive(known, _around, max_leaves=6)


@st.composite
def payloads(draw: st.DrawFn) -> tuple[str, Element]:
    """(type, payload): of a handler, or of anybody; its content fits in part."""
    type_, namespace, name = draw(st.sampled_from(HANDLED))
    fitting = [tree for tree in TREES if split(tree.tag)[0] == namespace]
    inside = [element for tree in fitting for element in tree.iter() if element in ELEMENTS][1:]
    content = st.one_of(elements, st.sampled_from(inside)) if inside else elements
    root = Element(f"{{{namespace}}}{name}", draw(attributes))
    root.extend(draw(st.lists(content, max_size=3)))
    return draw(st.sampled_from([type_, type_, type_, "get", "set", "result", "error"])), root


requests = st.lists(st.tuples(payloads(), addresses), min_size=MOST // 2, max_size=MOST)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    admins = {"admins": [f"{ADMIN}@{DOMAIN}"]}
    with a_stage(tmp_path_factory.mktemp("stage"), 60, administration=admins) as stage:
        yield stage


@pytest.fixture(autouse=True)
def _nobody_is_harmed(stage: Stage) -> Iterator[None]:
    """Of this module's own server: no fault of ours in the log, and it lives."""
    yield
    close_attackers()

    assert [] == stage.house.faults()
    assert stage.house.gateway.is_running()


class Crowd:
    """Attackers, one after the other."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._hidden = [each.account.name for each in (stage.stranger, stage.blocker, stage.blocked)]
        self._hidden.append(stage.sleeper.name)
        self._attacker: Attacker | None = None
        self._before: dict[str, Any] = {}
        self._batches = 0
        self.count = 0

    def check(self) -> None:
        """Nothing that they did has changed anybody who is not their contact."""
        if self._attacker is not None:
            self._attacker.settle()

            assert {} == differences(self._before, self._stage.snapshot(*self._hidden))
        assert [] == self._stage.house.faults()

    def attack(self, batch: list[tuple[tuple[str, Element], str]]) -> None:
        """One batch; nobody's secrets may come back."""
        if self._attacker is None or self._batches % LIFE == 0:
            self.check()
            close_attackers()
            self._attacker = self._stage.attacker()
            self._before = self._stage.snapshot(*self._hidden)
        self._batches += 1
        attacker, stage = self._attacker, self._stage
        people = {
            "%own": attacker.account.jid, "%stranger": stage.stranger.jid, "%friend": stage.friend.jid,
            "%blocker": stage.blocker.jid, "%blocked": stage.blocked.jid, "%sleeper": stage.sleeper.jid,
        }  # fmt: skip

        def filled(text: str) -> str:
            for name, jid in people.items():
                text = text.replace(name, jid)
            return text.replace("%user", attacker.account.name)

        attacker.ask(Asked("random", type_, filled(to), filled(payload_of(root))) for (type_, root), to in batch)
        self.count += len(batch)

        assert [] == stage.leaked(attacker.heard)


def _rounds() -> Iterator[int]:
    """One, or as many as there is time for."""
    deadline = time.monotonic() + SECONDS
    for number in itertools.count(FIRST):
        yield number
        if time.monotonic() >= deadline:
            return


@pytest.mark.timeout(SECONDS + 120)
def test_random_requests_change_and_show_nothing_of_anybody_else(stage: Stage) -> None:
    crowd = Crowd(stage)

    first: list[BaseException] = []

    def run(batch: list[tuple[tuple[str, Element], str]]) -> None:
        if first:  # what failed is run again; the server is not as it was by then
            raise first[0]
        try:
            crowd.attack(batch)
        except BaseException as error:
            first.append(error)
            raise

    checks: Any = settings(
        max_examples=BATCHES,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    for number in _rounds():
        seed(number)(checks(given(requests)(run)))()
        print(f"round {number}: {crowd.count} requests")  # shown when it fails, or with -s
        crowd.check()


@pytest.mark.parametrize("node", [command.node for feature in FEATURES for command in feature.commands])
def test_forms_of_commands_filled_in_wrongly_are_refused(stage: Stage, node: str) -> None:
    admin = Attacker(stage.house, Account(ADMIN), "admin")
    begun = f"<command xmlns='{ns.COMMANDS}' node='{node}'/>"
    (first,) = admin.ask([Asked("begin", "set", SERVER, begun)])
    assert first is not None and "" == error_of(first)
    if first[0].get("status") == "completed":
        return
    fields = {field.get("var", ""): "x" for field in first[0].iter(f"{{{ns.DATA_FORMS}}}field")}
    fields.pop("FORM_TYPE", None)
    good = form("http://jabber.org/protocol/admin", **fields)

    for what, wrong in mutations(good, node, 0 if SECONDS else 8):
        (again,) = admin.ask([Asked("begin", "set", SERVER, begun)])
        assert again is not None
        sid = again[0].get("sessionid", "")
        payload = f"<command xmlns='{ns.COMMANDS}' node='{node}' sessionid='{sid}'>{wrong}</command>"
        admin.ask([Asked(what, "set", SERVER, payload)])
