"""Messages and presence as nobody should send them: forged copies, archives, ids, delays and events; bad subscriptions,
huge and countless presences, capabilities that are no one's. They harm nobody and say nothing of anybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element, tostring
from xml.sax.saxutils import escape, quoteattr

import pytest

from gateway.mailbox import keys
from gateway.xmpp import ns
from tests.hostile.attacker import CONDITIONS, TYPES, Attacker, close_attackers, error_of
from tests.hostile.mutations import IS_THOROUGH, VALUES, mutations
from tests.hostile.stage import Stage, Victim, a_stage, differences
from tests.support.exchange import everything
from tests.support.phone import Phone, online, stanza
from tests.support.processes import DOMAIN

MESSAGE, PRESENCE, IQ = stanza("message"), stanza("presence"), stanza("iq")

MOST: Final = 0 if IS_THOROUGH else 24
"""mutations of each payload (0: all)"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with a_stage(tmp_path_factory.mktemp("stage"), 60) as stage:
        yield stage


@pytest.fixture(autouse=True)
def _nobody_is_harmed(stage: Stage) -> Iterator[None]:
    """Of this module's own server: no fault of ours in the log, and it lives."""
    yield
    close_attackers()

    assert [] == stage.house.faults()
    assert stage.house.gateway.is_running()


def forwarded(inner: str = "") -> str:
    return (
        f"<forwarded xmlns='{ns.FORWARD}'><delay xmlns='{ns.DELAY}' stamp='2020-01-01T00:00:00Z' from='{DOMAIN}'/>"
        f"<message xmlns='{ns.CLIENT}' from='boss@{DOMAIN}/x' to='%victim' type='chat'><body>forged</body>{inner}"
        "</message></forwarded>"
    )


PAYLOADS: Final = {
    "a copy": f"<received xmlns='{ns.CARBONS}'>{forwarded()}</received>",
    "a copy of what was sent": f"<sent xmlns='{ns.CARBONS}'>{forwarded()}</sent>",
    "no copy, please": f"<private xmlns='{ns.CARBONS}'/>",
    "a result of the archive": f"<result xmlns='{ns.MAM}' queryid='q' id='1'>{forwarded()}</result>",
    "an id": f"<stanza-id xmlns='{ns.STANZA_ID}' by='%victim' id='forged'/>",
    "a delay": f"<delay xmlns='{ns.DELAY}' from='{DOMAIN}' stamp='2002-09-10T23:08:25Z'>Offline Storage</delay>",
    "an event": f"<event xmlns='{ns.PUBSUB_EVENT}'><items node='{ns.BOOKMARKS}'><item id='r@x.example'><conference "
    f"xmlns='{ns.BOOKMARKS}' autojoin='true'/></item></items></event>",
    "an offline message": f"<offline xmlns='{ns.OFFLINE_RETRIEVAL}'><item node='1'/></offline>",
    "hints": f"<no-store xmlns='{ns.HINTS}'/>",
    "a receipt": f"<received xmlns='{ns.RECEIPTS}' id='x'/>",
    "a marker": f"<displayed xmlns='{ns.MARKERS}' id='x'/>",
    "a call": f"<propose xmlns='{ns.CALLS}' id='x'/>",
    "an invitation": f"<x xmlns='{ns.MUC_USER}'><invite from='boss@{DOMAIN}'><reason>r</reason></invite></x>",
    "encrypted": f"<encrypted xmlns='{ns.OMEMO_AXOLOTL}'><header sid='1'><key rid='1'>eA==</key></header></encrypted>",
    "an error": f"<error type='cancel'><service-unavailable xmlns='{ns.STANZAS}'/></error>",
    "an address": "<addresses xmlns='http://jabber.org/protocol/address'><address "
    "type='to' jid='%victim'/></addresses>",
    "forwarded": f"<x xmlns='urn:example:x'>{forwarded(forwarded(forwarded()))}</x>",
}

TYPES_OF_MESSAGES: Final = ("chat", "normal", "headline", "groupchat", "error", "x", "")


def unasked_errors(attacker: Attacker, name: str) -> list[str]:
    """The conditions of the errors among what came. Each has to be as the RFC says."""
    attacker.settle()
    found = []
    for element in attacker.unasked:
        error = element.find(stanza("error"))
        if element.get("type") != "error" or error is None or element.tag != stanza(name):
            continue
        condition = error_of(element)

        assert condition in CONDITIONS, tostring(element, "unicode")
        assert error.get("type") in TYPES[condition].split(), tostring(element, "unicode")
        found.append(condition)
    return found


def from_attacker(victim: Victim, attacker: Attacker) -> list[Element]:
    """What came to the victim's client that has to do with the attacker."""
    victim.settle()
    return [each for each in victim.heard if attacker.account.jid in tostring(each, "unicode")]


def several(payload: str) -> list[str]:
    """The payload, and some that are wrong."""
    return [payload, *(wrong for _, wrong in mutations(payload, "", MOST))]


@pytest.mark.parametrize("what", PAYLOADS)
def test_a_message_with_forged_or_odd_content_comes_from_its_sender(stage: Stage, what: str) -> None:
    attacker, victim = stage.attacker(), stage.stranger
    own = {
        name: stage.snapshot(each.account.name) for name, each in (("blocker", stage.blocker), ("no", stage.blocked))
    }
    victim.heard.clear()

    for payload in several(PAYLOADS[what].replace("%victim", victim.jid)):
        for type_ in TYPES_OF_MESSAGES[:: 1 if payload == PAYLOADS[what] else 3]:
            for to in (victim.jid, f"{victim.jid}/phone", stage.blocker.jid, f"nobody@{DOMAIN}", "", DOMAIN):
                at = f" to='{to}'" if to else ""
                kind = f" type='{type_}'" if type_ else ""
                attacker.send(f"<message id='m'{at}{kind}>{payload}</message>")
        attacker.settle()

    errors = unasked_errors(attacker, "message")
    assert {"service-unavailable", "bad-request"} >= set(errors)
    came = from_attacker(victim, attacker)
    assert all(each.get("from") == attacker.jid for each in came), [tostring(each) for each in came][:3]
    assert not [each for each in came if victim.jid in [i.get("by") for i in each.iter(f"{{{ns.STANZA_ID}}}stanza-id")]
                and "forged" in [i.get("id") for i in each.findall(f"{{{ns.STANZA_ID}}}stanza-id")]]  # fmt: skip
    assert own["blocker"] == stage.snapshot(stage.blocker.account.name)
    assert [] == stage.leaked(attacker.heard)


def test_a_forged_time_of_waiting_does_not_stand_for_the_true_one(stage: Stage) -> None:
    attacker = stage.attacker(knows=False)
    account = stage.house.account()
    forged = f"<delay xmlns='{ns.DELAY}' from='{DOMAIN}' stamp='2002-09-10T23:08:25Z'/>"

    attacker.send(f"<message to='{account.jid}' type='chat'><body>x</body>{forged}</message>")
    attacker.settle()
    phone = Phone(stage.house, account).bind()
    phone.send("<presence/>")
    (message,) = [each for each in everything(phone) if each.find(stanza("body")) is not None]
    stamps = [each.get("stamp", "") for each in message.findall(f"{{{ns.DELAY}}}delay") if each.get("from") == DOMAIN]
    phone.cut()

    assert 1 == len(stamps) and not stamps[0].startswith("2002")


SUBSCRIPTIONS: Final = ("subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe")


@pytest.mark.parametrize("type_", [*SUBSCRIPTIONS, "unavailable", "error", "SUBSCRIBE", "available", ""])
def test_presence_to_anybody_changes_no_more_than_a_request_that_waits(stage: Stage, type_: str) -> None:
    attacker = stage.attacker()
    before = stage.snapshot()
    targets = (
        stage.stranger.jid, f"{stage.stranger.jid}/phone", stage.blocker.jid, stage.blocked.jid, stage.sleeper.jid,
        f"nobody@{DOMAIN}", DOMAIN, f"push.{DOMAIN}", f"x@push.{DOMAIN}", "elsewhere.example", "x@elsewhere.example",
        attacker.account.jid, attacker.jid, f"{attacker.account.jid}/gone",
    )  # fmt: skip
    payloads = ("", "<status>" + "x" * 200_000 + "</status>", "<priority>x</priority><priority/><show>what</show>",
                f"<x xmlns='{ns.MUC}'/><delay xmlns='{ns.DELAY}' from='{DOMAIN}' stamp='x'/>")  # fmt: skip

    for to in targets:
        for payload in payloads:
            kind = f" type='{type_}'" if type_ else ""
            attacker.send(f"<presence to='{to}' id='p'{kind}>{payload}</presence>")
        attacker.settle()

    unasked_errors(attacker, "presence")
    changed = set(differences(before, stage.snapshot()))
    waiting = {name for name in changed if ":reqs:" in name} if type_ in ("subscribe", "unsubscribe") else set()
    assert changed <= waiting, changed
    assert not [name for name in waiting if stage.blocker.jid in name]
    assert [] == stage.leaked(attacker.heard)


@pytest.mark.parametrize("to", [value for value in VALUES if "\n" not in value and len(value) < 2000])
def test_presence_to_what_is_no_address_is_answered_or_passed_over(stage: Stage, to: str) -> None:
    attacker = stage.attacker(knows=False)

    for type_ in (*SUBSCRIPTIONS, "unavailable"):
        attacker.send(f"<presence to={quoteattr(to)} type='{type_}'><status>{escape(to)}</status></presence>")
    attacker.send(f"<presence to={quoteattr(to)}/>")

    unasked_errors(attacker, "presence")


def test_who_exists_cannot_be_told_from_answers_to_presence(stage: Stage) -> None:
    attacker = stage.attacker()

    def learnt(jid: str, type_: str) -> list[str]:
        attacker.settle()
        attacker.unasked.clear()
        attacker.send(f"<presence to='{jid}' id='p' type='{type_}'/>")
        attacker.settle()
        attacker.settle()
        return [tostring(each, "unicode").replace(jid, "…") for each in attacker.unasked]

    for type_ in SUBSCRIPTIONS[1:]:
        nobody = learnt(f"nobody@{DOMAIN}", type_)

        assert nobody == learnt(stage.stranger.jid, type_) == learnt(stage.sleeper.jid, type_)
        assert [] == [each for each in learnt(stage.blocker.jid, type_) if stage.blocker.jid in each]


def test_a_thousand_directed_presences_are_taken_and_ended(stage: Stage) -> None:
    attacker = stage.attacker(knows=False)
    victim = stage.stranger
    victim.heard.clear()

    for number in range(1000):
        attacker.send(
            f"<presence to='n{number}@{DOMAIN}'/><presence to='{victim.jid}'><status>{number}</status></presence>"
        )
        if number % 50 == 0:
            attacker.settle()
    attacker.settle()
    attacker.send("<presence type='unavailable'/>")
    attacker.settle()

    came = [each for each in from_attacker(victim, attacker) if each.tag == PRESENCE]
    assert 1000 == len([each for each in came if each.get("type") is None])


PRESENCES: Final = {
    "huge": "<presence><status>" + "x" * 250_000 + "</status></presence>",
    "deep": "<presence>" + "<x xmlns='urn:x'>" * 50 + "</x>" * 50 + "</presence>",
    "wide": "<presence>" + "<x xmlns='urn:x'/>" * 5000 + "</presence>",
    "a vast priority": "<presence><priority>" + "9" * 5000 + "</priority></presence>",
    "priorities": "<presence>" + "<priority>1</priority>" * 500 + "</presence>",
    "a photo": f"<presence><x xmlns='{ns.VCARD_UPDATE}'><photo>{'a' * 5000}</photo><photo/></x></presence>",
    "an id of an idle time": f"<presence><idle xmlns='{ns.IDLE}' since='x'/><idle xmlns='{ns.IDLE}'/></presence>",
}


@pytest.mark.parametrize("what", PRESENCES)
def test_an_odd_presence_of_one_s_own_is_taken(stage: Stage, what: str) -> None:
    attacker = stage.attacker()

    attacker.send(PRESENCES[what])
    attacker.settle()

    assert [] == unasked_errors(attacker, "presence")
    assert [] == stage.leaked(attacker.heard)


CLAIMS: Final = {
    "a hash that is another's": "hash='sha-1' node='urn:c' ver='QgayPKawpkPSDYmwT/WM94uAlu0='",
    "a hash nobody knows": "hash='md4' node='urn:c' ver='AAAA'",
    "no hash": "node='urn:c' ver='1.0'",
    "no node": "hash='sha-1' ver='AAAA'",
    "a long one": f"hash='sha-1' node='urn:c' ver='{'a' * 5000}'",
    "a colon": "hash='sha:1' node='urn:c' ver='a:b'",
    "quotes": "hash='sha-1' node='&lt;&apos;&amp;' ver='&quot;&apos;&gt;'",
}


@pytest.mark.parametrize("what", CLAIMS)
def test_capabilities_that_do_not_prove_themselves_are_kept_for_nobody(stage: Stage, what: str) -> None:
    attacker = stage.attacker()
    query = (
        f"<query xmlns='{ns.DISCO_INFO}'><identity category='client' type='pc'/><feature var='urn:example:x+notify'/>"
        f"<x xmlns='{ns.DATA_FORMS}' type='result'><field var='FORM_TYPE' type='hidden'><value>a</value></field></x>"
        "</query>"
    )

    def known() -> int:
        with stage.house.store as store:
            return int(store.hlen(keys.CAPS))

    before, answered = known(), 0
    payloads = [query, *(payload for _, payload in mutations(query, "", MOST))]
    for payload in payloads:
        attacker.unasked.clear()
        attacker.send(
            f"<presence><c xmlns='{ns.CAPS}'/></presence><presence><c xmlns='{ns.CAPS}' {CLAIMS[what]}/></presence>"
        )
        attacker.settle()
        for asked in [each for each in attacker.unasked if each.tag == IQ and each.get("type") == "get"]:
            attacker.send(
                f"<iq type='result' id={quoteattr(asked.get('id', ''))} to='{attacker.account.jid}'>{payload}</iq>"
            )
            answered += 1
        attacker.settle()

    assert before == known()
    assert bool(answered) == (what not in ("no node", "a long one", "a colon"))


def test_a_sleeping_device_gets_what_was_sent_to_it_and_not_what_was_refused(stage: Stage) -> None:
    attacker = stage.attacker(knows=False)
    phone = online(stage.house, stage.house.account())
    sid, inbound = phone.session_id, phone.inbound
    to = phone.account.jid
    phone.cut()

    for payload in PAYLOADS.values():
        attacker.send(f"<message to='{to}' type='chat'><body>b</body>{payload.replace('%victim', to)}</message>")
        attacker.send(f"<message to='{to}/phone' type='error'>{payload.replace('%victim', to)}</message>")
    attacker.settle()
    again = Phone(stage.house, phone.account)
    again.resume(sid, inbound)
    came = everything(again)

    assert len(PAYLOADS) == len([each for each in came if each.get("type") == "chat"])
    assert {attacker.jid} == {each.get("from") for each in came}
