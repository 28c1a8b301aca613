"""Nobody reaches another account: by no request that any feature answers, whatever `to` and `from` say, by no id of a
session, by no push node and by no command that somebody else began.

`tests/hostile/test_iq_handlers.py` sends odd forms of the same requests; here are the good ones, to and from everybody.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Final
from xml.etree.ElementTree import tostring

import pytest

from gateway.demo.stream import ClientStream, condition_of
from gateway.features import FEATURES
from gateway.mailbox import keys
from gateway.xmpp import ns
from tests.hostile.attacker import Asked, Attacker, close_attackers, error_of
from tests.hostile.mutations import IS_THOROUGH
from tests.hostile.stage import SECRET, Stage, a_stage, content, differences
from tests.hostile.valid_requests import HOST, ROWS, Row, form
from tests.support import phone as phones
from tests.support.exchange import everything, request
from tests.support.phone import Phone, a_message, failed_condition, sm, stanza
from tests.support.processes import DOMAIN, Account

ADMIN: Final = "user1"
"""the first account of a server"""

OPEN: Final = {
    ("get", ns.DISCO_INFO, "query"): "who may see an account's presence (XEP-0030 section 8)",
    ("get", ns.DISCO_ITEMS, "query"): "the same, and of nodes those that it may read",
    ("get", ns.LAST_ACTIVITY, "query"): "who may see an account's presence (XEP-0012 section 8)",
    ("get", ns.VCARD, "vCard"): "everybody (XEP-0054 section 4), but whom the account blocks",
    ("get", ns.PUBSUB, "pubsub"): "by the access model of the node (XEP-0060 section 4.5)",
    ("set", ns.PUBSUB, "pubsub"): "subscribing, by the access model of the node",
}
"""requests that one account answers another -> to whom. A new one needs a reason here, and in docs/security.md."""

EXPLAINED: Final = {("set", ns.VCARD, "vCard"), ("get", ns.PUBSUB_OWNER, "pubsub"), ("set", ns.PUBSUB_OWNER, "pubsub")}
"""refused like all others, but in the words that their standard has for it"""

ADMINISTRATION: Final = "http://jabber.org/protocol/admin#"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    admins = {"admins": [f"{ADMIN}@{DOMAIN}"]}
    with a_stage(tmp_path_factory.mktemp("stage"), 40, administration=admins) as stage:
        yield stage


@pytest.fixture(scope="module")
def forger_account(stage: Stage) -> Account:
    """One account for all of them: each has a stream of its own, which ends."""
    return stage.house.account()


@pytest.fixture
def forger(stage: Stage, forger_account: Account) -> Phone:
    return Phone(stage.house, forger_account).bind("forger")


@pytest.fixture(scope="module")
def attackers(stage: Stage) -> Iterator[dict[bool, Attacker]]:
    """Whether it is a contact of `friend`, blocked by `blocker` and blocks `blocked` -> an attacker."""
    yield {knows: stage.attacker(knows=knows) for knows in (False, True)}
    close_attackers()


@pytest.fixture
def attacker(attackers: dict[bool, Attacker]) -> Attacker:
    return attackers[False]


@pytest.fixture(autouse=True)
def _nobody_is_harmed(stage: Stage, attackers: dict[bool, Attacker]) -> Iterator[None]:
    """Whatever was tried: everything of every victim is as before, and no fault of ours is in the log."""
    before, victims = stage.snapshot(), len(phones._open)
    yield
    while len(phones._open) > victims:
        phones._open.pop().cut()

    assert {} == differences(before, stage.snapshot())
    assert [] == stage.house.faults()


def handler(row: Row) -> tuple[str, str, str]:
    """Which handler answers a row."""
    name, _, rest = row.payload[1:].partition(" ")
    return row.type, rest.partition("xmlns='")[2].partition("'")[0], name


def filled(row: Row, account: Any) -> str:
    return row.payload.replace("%own", account.jid).replace("%user", account.name)


def test_what_an_account_answers_others_is_what_is_written_here() -> None:
    declared = {each for feature in FEATURES for each in feature.open}

    assert {*OPEN, *EXPLAINED} == declared


@pytest.mark.parametrize("knows", [False, True], ids=["of a stranger", "of a contact"])
def test_no_request_reaches_another_account_unless_it_is_written_here(
    stage: Stage, attackers: dict[bool, Attacker], knows: bool
) -> None:
    attacker = attackers[knows]
    victims = [stage.friend, stage.blocker, stage.blocked] if knows else [stage.stranger]
    asked = [
        Asked(name, row.type, to, filled(row, victim.account))
        for name, row in ROWS.items()
        if not (knows and name in ("subscribe", "unsubscribe"))
        for victim in victims
        for to in (victim.jid, f"{victim.jid}/phone", f"{victim.jid}/gone")
    ]

    answers = attacker.ask(asked)
    attacker.settle()

    for each, answer in zip(asked, answers, strict=True):
        is_open = handler(ROWS[each.what]) in OPEN and "/" not in each.to
        assert is_open or error_of(answer), f"{each.what} of {each.to}: {tostring(answer)!r}"
    assert [] == stage.leaked(attacker.heard)


@pytest.mark.parametrize("name", list(ROWS)[:: 1 if IS_THOROUGH else 6])
def test_a_request_in_another_accounts_name_ends_the_stream_and_does_nothing(
    stage: Stage, forger: Phone, name: str
) -> None:
    row, victim = ROWS[name], stage.stranger
    names = (victim.jid, f"{victim.jid}/phone", DOMAIN, HOST, f"{ADMIN}@{DOMAIN}", f"{ADMIN}@{DOMAIN}/r", "@")
    forged = names[list(ROWS).index(name) % len(names)]

    to = f" to='{row.to}'" if row.to else ""
    forger.send(f"<iq type='{row.type}' id='f'{to} from='{forged}'>{filled(row, victim.account)}</iq>")

    assert "invalid-from" == condition_of(forger.stream_error())


@pytest.mark.parametrize("kind", ["message", "presence"])
@pytest.mark.parametrize("who", ["victim", "device", "server", "nobody"])
def test_nothing_is_said_in_another_accounts_name(stage: Stage, forger: Phone, kind: str, who: str) -> None:
    victim = stage.stranger
    forged = {"victim": victim.jid, "device": f"{victim.jid}/phone", "server": DOMAIN, "nobody": f"no@{DOMAIN}"}[who]

    forger.send(f"<{kind} from='{forged}' to='{stage.blocker.jid}'/>")

    assert "invalid-from" == condition_of(forger.stream_error())


def test_a_session_of_another_account_is_as_one_that_never_was(stage: Stage) -> None:
    romeo, tybalt = stage.house.account(), stage.house.account()
    awake, asleep, gone = (Phone(stage.house, romeo).bind(name) for name in ("awake", "asleep", "gone"))
    for phone in (awake, asleep, gone):
        phone.enable()
        phone.available()
    awake.message(f"{romeo.jid}/asleep", "mine")
    awake.round_trip()
    asleep.cut()
    gone.send("</stream:stream>")
    assert gone.is_over()
    at = keys.prefix(romeo.jid)
    sleeping = keys.key(at, "queue", asleep.session_id)
    with stage.house.store as store:
        before = content(store, sleeping.encode())
        thief = Phone(stage.house, tybalt)
        tried = [
            (thief.resume(sid, h), sid)
            for sid in (awake.session_id, asleep.session_id, gone.session_id, "never-was", "")
            for h in (0, 1, 1000)
        ]

        answers = {tostring(failed) for failed, _ in tried}
        assert 1 == len(answers), "ids that exist can be told from those that do not"
        assert "item-not-found" == failed_condition(tried[0][0])
        assert None is tried[0][0].get("h")
        assert before == content(store, sleeping.encode())
    awake.round_trip()
    again = Phone(stage.house, romeo)
    assert sm("resumed") == again.resume(asleep.session_id, asleep.inbound).tag
    assert ["mine"] == again.bodies(1)


def test_ids_of_sessions_are_random_and_long(stage: Stage) -> None:
    account = stage.house.account()
    ids = set()
    for _ in range(5):
        phone = Phone(stage.house, account).bind("phone")
        phone.enable()
        ids.add(phone.session_id)

    assert 5 == len(ids)
    assert 20 == min(map(len, ids)) == max(map(len, ids))  # 120 bits in base64url


def _challenge(stage: Stage, username: str) -> dict[str, str]:
    """SCRAM's first message of the server, by attribute."""
    stream = ClientStream(stage.house.address())
    stream.connect()
    first = base64.b64encode(f"n,,n={username},r=nonce".encode()).decode()
    answer = stream.request(f"<auth xmlns='{ns.SASL}' mechanism='SCRAM-SHA-256'>{first}</auth>")
    stream.cut()
    parts = base64.b64decode(answer.text or "").decode().split(",")
    return {part[0]: part[2:] for part in parts}


def test_which_accounts_there_are_cannot_be_told_from_a_challenge(stage: Stage) -> None:
    """RFC 5802 section 9 does not ask for it; people whose accounts were found get guesses and spam."""
    there = stage.stranger.account.name
    known, missing = ([_challenge(stage, name) for name in (n, n.upper(), n)] for n in (there, "ghost"))

    for challenges in (known, missing):
        assert 1 == len({challenge["s"] for challenge in challenges}), "one salt, however the name is written"
        assert 3 == len({challenge["r"] for challenge in challenges})
    assert known[0]["s"] != missing[0]["s"]
    assert {name: len(value) for name, value in known[0].items()} == {k: len(v) for k, v in missing[0].items()}
    assert known[0]["i"] == missing[0]["i"]


def test_a_push_node_is_its_accounts_whoever_else_names_it(stage: Stage, attacker: Attacker) -> None:
    victim, other = stage.stranger, "5717" * 16

    def registered(user: str) -> Any:
        with stage.house.store as store:
            return content(store, keys.key(keys.prefix(user), "registrations", user).encode())

    before = registered(victim.jid)
    node = f"{SECRET}-node"
    enable = (
        f"<enable xmlns='{ns.PUSH}' jid='{HOST}' node='{node}'>"
        + form(ns.PUBSUB_PUBLISH_OPTIONS, app="chat", token=other)
        + "</enable>"
    )
    payloads = [enable, *(f"<disable xmlns='{ns.PUSH}' jid='{HOST}'{at}/>" for at in (f" node='{node}'", ""))]
    answers = attacker.ask(Asked("push", "set", to, payload) for payload in payloads for to in ("", victim.jid, HOST))

    assert ["", "service-unavailable", ""] * 3 == [error_of(each) for each in answers]
    assert before == registered(victim.jid)
    assert not registered(attacker.account.jid), "its own registration it could take back"


def test_what_looks_like_a_publish_of_an_app_server_pushes_nobody(stage: Stage, attacker: Attacker) -> None:
    before = stage.house.events(stage.stranger.jid)
    publish = (
        f"<pubsub xmlns='{ns.PUBSUB}'><publish node='{SECRET}-node'><item><notification xmlns='{ns.PUSH}'/></item>"
        "</publish></pubsub>"
    )

    answers = attacker.ask(Asked("publish", "set", to, publish) for to in (HOST, f"{SECRET}-node@{HOST}"))

    assert "" not in {error_of(each) for each in answers}
    assert before == stage.house.events(stage.stranger.jid)


def test_a_command_that_an_admin_began_goes_on_for_nobody_else(stage: Stage, attacker: Attacker) -> None:
    admin = Phone(stage.house, Account(ADMIN)).bind("admin")
    command = f"<command xmlns='{ns.COMMANDS}' node='{ADMINISTRATION}delete-user' %s/>"
    begun = request(admin, "set", command.replace("%s", "action='execute'"), DOMAIN)
    session = begun[0].get("sessionid", "")
    filled_in = form(ADMINISTRATION.removesuffix("#"), accountjids=stage.stranger.jid)
    go_on = f"<command xmlns='{ns.COMMANDS}' node='%s' sessionid='{session}' action='complete'>{filled_in}</command>"

    answers = attacker.ask(
        Asked("command", "set", to, go_on.replace("%s", node))
        for to in (DOMAIN, "", f"{ADMIN}@{DOMAIN}")
        for node in (f"{ADMINISTRATION}delete-user", f"{ns.INVITE}#invite")
    )

    assert session
    assert "" not in {error_of(each) for each in answers}


def test_a_copy_that_somebody_forged_comes_as_what_he_wrote(stage: Stage, forger: Phone) -> None:
    """XEP-0280 section 11: a client believes copies from its own account alone, so they must come from nowhere else."""
    juliet = stage.house.account()
    phone = Phone(stage.house, juliet).bind("phone").available()
    inner = f"<forwarded xmlns='{ns.FORWARD}'>{a_message(juliet.jid, 'never said')}</forwarded>"
    for way in ("sent", "received"):
        forger.send(f"<message to='{juliet.jid}' type='chat'><{way} xmlns='{ns.CARBONS}'>{inner}</{way}></message>")
    forger.round_trip()

    assert [forger.jid] * 2 == [each.get("from") for each in everything(phone) if each.tag == stanza("message")]
