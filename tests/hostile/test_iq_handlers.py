"""Every handler of a request that any feature declares, with bad requests of every kind, from people it does not know:
the standard's error, nothing changed, nobody's data seen. A new handler needs its row in `valid_requests`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from gateway.xmpp import ns
from tests.hostile.attacker import Asked, Attacker, Fault, close_attackers, error_of, told
from tests.hostile.mutations import IS_THOROUGH, misnamed, mutations, parse, split
from tests.hostile.stage import Stage, a_stage, differences
from tests.hostile.valid_requests import DECLARED, HOST, NONZAS, REPLIES, ROWS, Row
from tests.support.processes import DOMAIN

MOST_MUTATIONS: Final = 100_000 if IS_THOROUGH else 30
MOST_ELSEWHERE: Final = 25 if IS_THOROUGH else 3
"""mutations that go to other accounts as well"""

GHOST: Final = f"ghost@{DOMAIN}"
"""blocked, and not there"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with a_stage(tmp_path_factory.mktemp("stage"), 300) as stage:
        yield stage


@pytest.fixture(autouse=True)
def _nobody_is_harmed(stage: Stage) -> Iterator[None]:
    """Of this module's own server: no fault of ours in the log, and it lives."""
    yield
    close_attackers()

    assert [] == stage.house.faults()
    assert stage.house.gateway.is_running()


def rows() -> list[str]:
    """Rows by name. Commands for admins are refused alike: some of them will do."""
    admins = [name for name, row in ROWS.items() if row.error == "forbidden"]
    return list(ROWS) if IS_THOROUGH else [name for name in ROWS if name not in admins[2:]]


def filled(payload: str, attacker: Attacker) -> str:
    return payload.replace("%own", attacker.account.jid).replace("%user", attacker.account.name)


def prepared(stage: Stage, row: Row, *, knows: bool = True) -> Attacker:
    attacker = stage.attacker(knows=knows)
    answers = attacker.ask([Asked("before", type_, "", filled(payload, attacker)) for type_, payload in row.before])

    assert {""} >= set(map(error_of, answers))
    return attacker


def test_every_handler_has_a_row() -> None:
    have = {(row.type, *split(parse(row.payload).tag)) for row in ROWS.values()}

    assert set(DECLARED.iq) == have
    assert set(DECLARED.replies) == set(REPLIES)
    assert set(DECLARED.nonzas) == set(NONZAS)


@pytest.mark.parametrize("name", rows())
def test_the_good_request_is_answered_as_its_row_says(stage: Stage, name: str) -> None:
    row = ROWS[name]
    attacker = prepared(stage, row, knows=False)

    answer = attacker.ask_last(Asked(name, row.type, row.to, filled(row.payload, attacker)))

    assert row.error == error_of(answer)


@pytest.mark.parametrize("name", rows())
def test_a_bad_request_is_answered_and_if_refused_changes_nothing(stage: Stage, name: str) -> None:
    row = ROWS[name]
    attacker = prepared(stage, row)
    before = stage.snapshot()
    bad = mutations(filled(row.payload, attacker), name, MOST_MUTATIONS)
    requests = [Asked(what, row.type, row.to, payload) for what, payload in bad]

    refused = asked_one_by_one(stage, attacker, requests) if row.ends else ask_again(stage, attacker, requests)

    assert refused or row.error == ""
    assert {} == differences(before, stage.snapshot())
    assert [] == stage.leaked(attacker.heard)


def ask_again(stage: Stage, attacker: Attacker, requests: list[Asked]) -> list[Asked]:
    """Asks everything, then what was refused once more: then the account stays as it is. Answers what was refused."""
    refused = requests
    for _ in range(4):
        before = stage.snapshot(attacker.account.name)
        answers = attacker.ask(refused)
        again = [asked for asked, answer in zip(refused, answers, strict=True) if error_of(answer)]
        if len(again) == len(refused):
            assert {} == differences(before, stage.snapshot(attacker.account.name))
            break
        refused = again
    return refused


def asked_one_by_one(stage: Stage, attacker: Attacker, requests: list[Asked]) -> list[Asked]:
    """As `ask_again`, of requests that may end the account: each on one that is still there."""
    refused = []
    for asked in requests:
        before = stage.snapshot(attacker.account.name)
        answer = attacker.ask_last(asked)
        if error_of(answer):
            refused.append(asked)
            assert {} == differences(before, stage.snapshot(attacker.account.name))
        else:
            attacker = stage.attacker(knows=False)
    return refused


def test_what_only_looks_like_a_request_is_nobodys(stage: Stage) -> None:
    attacker = stage.attacker(knows=False)
    addresses = ("", attacker.account.jid, DOMAIN, HOST)

    for name in rows():
        found = list(misnamed(filled(ROWS[name].payload, attacker)))
        answers = attacker.ask(Asked(what, ROWS[name].type, to, payload) for to in addresses for what, payload in found)

        assert {"service-unavailable"} == set(map(error_of, answers)), name


@pytest.mark.parametrize("name", rows())
def test_no_other_account_is_changed_or_shown_and_which_exist_cannot_be_told(stage: Stage, name: str) -> None:
    row = ROWS[name]
    if row.ends:
        return  # of these, the one below sends what can be sent
    attacker = prepared(stage, row)
    good = filled(row.payload, attacker)
    bad = [("good", good), *mutations(good, name, MOST_ELSEWHERE)]
    before = stage.snapshot()

    for type_ in ("get", "set", "result", "error"):
        for what, payload in bad if type_ in ("get", "set") else bad[:1]:
            compare(stage, attacker, Asked(f"{what}, {type_}", type_, "", payload))

    attacker.settle()
    changed = differences(before, stage.snapshot())
    assert {} == {key: values for key, values in changed.items() if not is_granted(stage, row, key)}
    assert [] == stage.leaked(attacker.heard)


def is_granted(stage: Stage, row: Row, key: str) -> bool:
    """A contact may subscribe to what it may read."""
    return row.name in ("subscribe", "unsubscribe") and key.endswith(f":pubs:{stage.friend.jid}")


def compare(stage: Stage, attacker: Attacker, asked: Asked) -> None:
    """The same of accounts that are there, that are not, that block and that are blocked, and of what is none."""
    nobody = f"nobody@{DOMAIN}"
    alike = (
        (nobody, stage.stranger.jid, stage.blocker.jid, stage.sleeper.jid),
        (GHOST, stage.blocked.jid),
        (f"{nobody}/phone", f"{stage.blocker.jid}/phone", f"{stage.stranger.jid}/gone"),
        (f"{GHOST}/phone", f"{stage.blocked.jid}/phone"),
    )
    own, friend = attacker.account.jid, stage.friend.jid
    accounts = (own, f"{own}/gone", friend, f"{friend}/phone", f"{stage.stranger.jid}/phone")
    hosts = (DOMAIN, f"{DOMAIN}/x", HOST, f"x@{HOST}", "elsewhere.example", "x@elsewhere.example", "@", f"{nobody}@")
    others = (*accounts, *hosts)
    attacker.ask(Asked(asked.what, asked.type, to, asked.payload) for to in others)
    for addresses in alike:
        answers = attacker.ask(Asked(asked.what, asked.type, to, asked.payload) for to in addresses)
        learnt = {told(answer, *addresses) for answer in answers}
        if len(learnt) > 1:
            raise Fault(f"{asked.what} tells {addresses} apart: {learnt}")


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.ends])
def test_nobody_ends_or_changes_anothers_account(stage: Stage, name: str) -> None:
    row = ROWS[name]
    attacker = prepared(stage, row)
    before = stage.snapshot()
    victims = [victim.jid for victim in stage.victims]
    addresses = [*victims, stage.sleeper.jid, f"{stage.stranger.jid}/phone", HOST, f"nobody@{DOMAIN}", f"{DOMAIN}/x"]
    payloads = [row.payload.replace("%user", victim.partition("@")[0]) for victim in victims]

    answers = attacker.ask(
        Asked(name, type_, to, payload) for type_ in ("get", "set") for to in addresses for payload in payloads
    )
    if "%user" in row.payload:
        answers += attacker.ask(Asked(name, "set", to, payload) for to in ("", DOMAIN) for payload in payloads)

    assert "" not in set(map(error_of, answers))
    assert {} == differences(before, stage.snapshot())


@pytest.mark.parametrize("prefix", REPLIES)
def test_answers_to_requests_that_were_never_made_are_passed_over(stage: Stage, prefix: str) -> None:
    attacker = stage.attacker()
    before = stage.snapshot()
    payloads = ["", REPLIES[prefix], *(payload for _, payload in mutations(REPLIES[prefix]))]
    own = attacker.account.jid

    for at, payload in enumerate(payloads):
        for type_ in ("result", "error"):
            for to in ("", f" to='{own}'", f" to='{DOMAIN}'", f" to='{stage.stranger.jid}'", f" to='{HOST}'"):
                name = f"{prefix}:sha-1:{at}" if at % 2 else f"{prefix}:"
                attacker.send(f"<iq type='{type_}' id='{name}'{to}>{payload}</iq>")
        if at % 10 == 0:
            attacker.settle()
    attacker.settle()

    assert [] == [each for each in attacker.unasked if each.tag.endswith("}iq") and each.get("type") != "get"]
    assert {} == differences(before, stage.snapshot())


@pytest.mark.parametrize("name", sorted(NONZAS))
def test_odd_elements_outside_of_stanzas_are_taken(stage: Stage, name: tuple[str, str]) -> None:
    attacker = stage.attacker(knows=False)

    for _, payload in mutations(NONZAS[name]):
        attacker.send(payload)
    attacker.settle()

    assert [] == [each for each in attacker.unasked if not each.tag.endswith("}presence")]


@pytest.mark.parametrize(
    "inner",
    [
        f"<item xmlns='' jid='enemy@{DOMAIN}'/>",
        f"<item xmlns='{ns.BLOCKING}x' jid='enemy@{DOMAIN}'/>",
        f"<items jid='enemy@{DOMAIN}'/>",
        f"enemy@{DOMAIN}",
    ],
)
def test_an_unblock_of_items_that_are_none_unblocks_nobody(stage: Stage, inner: str) -> None:
    attacker = stage.attacker(knows=False)
    block = f"<block xmlns='{ns.BLOCKING}'><item jid='enemy@{DOMAIN}'/><item jid='foe@{DOMAIN}'/></block>"
    attacker.ask([Asked("block", "set", "", block)])

    (answer,) = attacker.ask([Asked("unblock", "set", "", f"<unblock xmlns='{ns.BLOCKING}'>{inner}</unblock>")])
    (left,) = attacker.ask([Asked("list", "get", "", f"<blocklist xmlns='{ns.BLOCKING}'/>")])

    assert "bad-request" == error_of(answer)
    assert left is not None and 2 == len(left[0])


STANZAS: Final = {
    "no id": "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
    "an empty id": "<iq type='get' id=''><ping xmlns='urn:xmpp:ping'/></iq>",
    "no type": "<iq id='q'><ping xmlns='urn:xmpp:ping'/></iq>",
    "another type": "<iq type='GET' id='q'><ping xmlns='urn:xmpp:ping'/></iq>",
    "no payload": "<iq type='set' id='q'/>",
    "two payloads": f"<iq type='set' id='q'><ping xmlns='{ns.PING}'/><query xmlns='{ns.REGISTER}'><remove/></query>"
    "</iq>",
    "text for a payload": "<iq type='set' id='q'>text</iq>",
    "an error beside the payload": f"<iq type='set' id='q'><ping xmlns='{ns.PING}'/><error type='cancel'/></iq>",
}


@pytest.mark.parametrize("what", STANZAS)
def test_an_iq_that_is_none_is_a_bad_request_to_whomever_it_goes(stage: Stage, what: str) -> None:
    attacker = stage.attacker(knows=False)
    addresses = ("", attacker.account.jid, DOMAIN, HOST, stage.stranger.jid, f"nobody@{DOMAIN}", f"{DOMAIN}/x")

    for to in addresses:
        attacker.send(STANZAS[what].replace("<iq", f"<iq to='{to}'" if to else "<iq", 1))
    attacker.settle()

    assert ["bad-request"] * len(addresses) == [error_of(each) for each in attacker.unasked]
