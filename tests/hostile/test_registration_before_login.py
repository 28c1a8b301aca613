"""Requests of somebody unknown (XEP-0077, XEP-0445): bad ones make no account, change none and show none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from xml.etree.ElementTree import Element, tostring

import pytest

from gateway.demo.stream import STREAM_ERROR, ClientStream, StreamEnded, condition_of
from gateway.xmpp import ns
from tests.hostile.attacker import CONDITIONS, TYPES
from tests.hostile.mutations import IS_THOROUGH, misnamed, mutations
from tests.hostile.raw import HEADER, Stranger, conditions
from tests.hostile.stage import Stage, a_stage, differences
from tests.hostile.valid_requests import ROWS, Row
from tests.support.iq import error_of
from tests.support.phone import stanza
from tests.support.processes import DOMAIN, PASSWORD
from tests.support.strangers import close_strangers, stranger

LARGEST: Final = 10_000
DEEPEST: Final = 8
"""what somebody unknown may send (RFC 6120 section 13.12)"""

MOST_REFUSED: Final = 4
"""on one stream; one more ends it"""

MOST: Final = 0 if IS_THOROUGH else 24
"""mutations of each payload (0: all)"""

PAYLOADS: Final = {
    "fields": ("get", f"<query xmlns='{ns.REGISTER}'/>"),
    "a new account": (
        "set", f"<query xmlns='{ns.REGISTER}'><username>%new</username><password>{PASSWORD}</password></query>",
    ),
    "an account that is there": (
        "set", f"<query xmlns='{ns.REGISTER}'><username>%victim</username><password>{PASSWORD}</password></query>",
    ),
    "removal": ("set", f"<query xmlns='{ns.REGISTER}'><remove/></query>"),
    "an invitation": ("set", f"<preauth xmlns='{ns.PREAUTH}' token='abcdefghijklmnopqrstuvwx'/>"),
}  # fmt: skip


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with a_stage(tmp_path_factory.mktemp("stage"), 20) as stage:
        yield stage


@pytest.fixture(autouse=True)
def _nobody_is_harmed(stage: Stage) -> Iterator[None]:
    """Of this module's own server: no fault of ours in the log, it lives, and the victims are as they were."""
    before = stage.snapshot()
    yield
    close_strangers()

    assert [] == stage.house.faults()
    assert stage.house.gateway.is_running()
    assert {} == differences(before, stage.snapshot())


class Applicant:
    """Connects anew whenever its stream has ended, and before it would be for too many refusals. `heard` is all that it
    was told.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._refused = 0
        self._stream: ClientStream | None = None
        self.heard = b""

    def ask(self, iq: str) -> Element:
        """The answer: an iq, or a stream error."""
        stream = self._stream = self._stream or stranger(self._stage.house)
        try:
            answer = stream.request(iq)
        except StreamEnded as error:
            raise AssertionError(f"the stream ended without a word: {iq[:500]}") from error
        self.heard += tostring(answer)
        self._refused += answer.get("type") == "error"
        is_granted = answer.get("type") == "result" and " type='set'" in iq
        if answer.tag == STREAM_ERROR or is_granted or self._refused >= MOST_REFUSED:
            stream.cut()
            self._stream, self._refused = None, 0
        return answer


def is_ours(row: Row) -> bool:
    """It is about registration."""
    return ns.REGISTER in row.payload


def accounts(stage: Stage) -> set[Any]:
    with stage.house.store as store:
        return {name for key in store.scan_iter("*:accts") for name in store.smembers(key)}


def fitting(iq: str, depth: int) -> bool:
    return len(iq) <= LARGEST and depth <= DEEPEST


def judged(iq: str, answer: Element) -> str:
    """The condition, "" for a result; the answer has to be as the RFC says."""
    if answer.tag == STREAM_ERROR:
        condition = condition_of(answer)

        assert "policy-violation" == condition and not fitting(iq, iq.count("</x>") + 3), (condition, iq[:1000])
        return condition
    assert (stanza("iq"), "r") == (answer.tag, answer.get("id")), iq[:1000]
    condition = error_of(answer)
    error = answer.find(stanza("error"))
    assert (answer.get("type") == "error") == (error is not None)
    if error is not None:
        assert condition in CONDITIONS, (condition, iq[:1000])
        assert error.get("type") in TYPES[condition].split(), (condition, iq[:1000])
    return condition


@pytest.mark.parametrize("what", PAYLOADS)
def test_a_bad_request_is_refused_and_makes_no_account(stage: Stage, what: str) -> None:
    type_, payload = PAYLOADS[what]
    applicant = Applicant(stage)
    payload = payload.replace("%victim", stage.stranger.account.name)

    for number, (_, wrong) in enumerate(mutations(payload, what, MOST)):
        before = accounts(stage)
        iq = f"<iq type='{type_}' id='r' to='{DOMAIN}'>{wrong.replace('%new', f'made{number}')}</iq>"
        condition = judged(iq, applicant.ask(iq))
        made = accounts(stage) - before

        assert len(made) == (1 if condition == "" and type_ == "set" else 0), (iq[:1000], condition, made)

    assert [] == stage.leaked(applicant.heard)


def test_an_account_that_is_there_is_neither_changed_nor_taken(stage: Stage) -> None:
    applicant = Applicant(stage)
    name = stage.stranger.account.name
    written = (
        name,
        name.upper(),
        f" {name}",
        f"{name} ",
        f"{name}\u00ad",
        f"{name}@{DOMAIN}",
        f"{name}/x",
        f"\uff55{name[1:]}",
    )

    for username in written:
        inner = f"<username>{username}</username><password>another password</password>"
        iq = f"<iq type='set' id='r'><query xmlns='{ns.REGISTER}'>{inner}</query></iq>"

        assert judged(iq, applicant.ask(iq)) in ("conflict", "not-acceptable"), username


@pytest.mark.parametrize("what", PAYLOADS)
def test_a_request_to_anybody_else_is_not_served(stage: Stage, what: str) -> None:
    type_, payload = PAYLOADS[what]
    applicant = Applicant(stage)
    before = accounts(stage)

    for to in (stage.stranger.jid, f"nobody@{DOMAIN}", f"push.{DOMAIN}", "elsewhere.example", f"{DOMAIN}/x", "@", ""):
        answer = applicant.ask(f"<iq type='{type_}' id='r' to='{to}'>{payload.replace('%new', 'anew')}</iq>")

        assert (error_of(answer) or condition_of(answer)) in (
            "service-unavailable",
            "jid-malformed",
            "not-authorized",
        ), to
    assert before == accounts(stage)


@pytest.mark.parametrize("what", PAYLOADS)
def test_what_only_looks_like_registration_ends_the_stream(stage: Stage, what: str) -> None:
    type_, payload = PAYLOADS[what]
    applicant = Applicant(stage)

    for _, wrong in misnamed(payload):
        assert "not-authorized" == condition_of(applicant.ask(f"<iq type='{type_}' id='r'>{wrong}</iq>"))
    for other in ("result", "error", "GET", ""):
        assert "not-authorized" == condition_of(applicant.ask(f"<iq type='{other}' id='r'>{payload}</iq>"))


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.error != "forbidden" and not is_ours(row)])
def test_every_other_request_is_for_those_who_are_logged_in(stage: Stage, name: str) -> None:
    row = ROWS[name]

    answer = Applicant(stage).ask(f"<iq type='{row.type}' id='r' to='{DOMAIN}'>{row.payload}</iq>")

    assert (STREAM_ERROR, "not-authorized") == (answer.tag, condition_of(answer))


@pytest.mark.parametrize("what", PAYLOADS)
def test_without_tls_nobody_registers(stage: Stage, what: str) -> None:
    type_, payload = PAYLOADS[what]
    before = accounts(stage)

    said = (
        Stranger(stage.house)
        .send(HEADER + f"<iq type='{type_}' id='r'>{payload.replace('%new', 'plain')}</iq>")
        .until_closed()
    )

    assert [] != conditions(said) and b"type='result'" not in said
    assert before == accounts(stage)
