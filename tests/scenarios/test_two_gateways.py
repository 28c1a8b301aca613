"""All that devices of an account and their contacts share, with each of them on another gateway process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.demo.stream import ServerSilent, Unexpected, condition_of
from gateway.xmpp import ns
from tests.support import adhoc, archive
from tests.support.component import TwoGateways, two_gateways
from tests.support.eventing import Client, befriend, node_of, publish, text_of
from tests.support.exchange import enable_carbons
from tests.support.iq import ask as iq
from tests.support.iq import error_of, refusal, result
from tests.support.people import (
    MESSAGE,
    roster,
    roster_get,
    roster_set,
)
from tests.support.people import (
    error_of as condition,
)
from tests.support.phone import HasAddress, Phone, sm, stanza
from tests.support.processes import Account, Server
from tests.support.watching import body, fence, presence, push, until

FADES_AFTER_S = 1
BODY = stanza("body")
TUNE = "http://jabber.org/protocol/tune"
ADD_USER = "http://jabber.org/protocol/admin#add-user"
ACTIVE, INACTIVE = f"<active xmlns='{ns.CSI}'/>", f"<inactive xmlns='{ns.CSI}'/>"


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoGateways]:
    settings: dict[str, dict[str, Any]] = {
        "presence": {"hibernation_available_time": FADES_AFTER_S},
        "administration": {"admins": ["user1@localhost"]},
    }
    with two_gateways(tmp_path_factory.mktemp("two"), settings) as both:
        both.server.stock_accounts(50)
        yield both


def device(at: HasAddress, account: Account, resource: str, words: str = "<presence/>") -> Phone:
    """Interested in the roster, with copies, able to resume; what came until it was there is read."""
    phone = Phone(at, account).bind(resource)
    phone.enable()
    roster_get(phone)
    enable_carbons(phone)
    iq(phone, f"<blocklist xmlns='{ns.BLOCKING}'/>")
    if words:
        phone.send(words)
        presence(phone, phone.jid)
    fence(phone)
    return phone


@dataclass
class Stage:
    """Juliet's phone is here and her tablet there; Romeo is there. They see each other."""

    here: Server
    there: HasAddress
    phone: Phone
    tablet: Phone
    romeo: Phone

    @property
    def juliet(self) -> str:
        return self.phone.account.jid


@pytest.fixture
def stage(gateways: TwoGateways) -> Stage:
    here, there = gateways.server, gateways.other
    juliet, romeo = here.account(), here.account()
    befriend(here, juliet, romeo)
    first = device(there, romeo, "orchard")
    phone = device(here, juliet, "phone")
    presence(first, phone.jid)
    tablet = device(there, juliet, "tablet")
    presence(first, tablet.jid)
    presence(phone, tablet.jid)
    return Stage(here, there, phone, tablet, first)


# Rosters and subscriptions


def test_a_change_of_the_roster_is_pushed_to_the_device_on_the_other_gateway(stage: Stage) -> None:
    for one, other, name in ((stage.phone, stage.tablet, "N"), (stage.tablet, stage.phone, "M")):
        assert "" == roster_set(one, f"<item jid='nurse@localhost' name='{name}'/>")

        assert {"jid": "nurse@localhost", "name": name, "subscription": "none"} == push(other)
    assert "" == roster_set(stage.phone, "<item jid='nurse@localhost' subscription='remove'/>")
    while push(stage.tablet)["subscription"] != "remove":
        pass
    assert ["both"] == [item["subscription"] for item in roster(stage.tablet).values()]


def test_subscriptions_are_agreed_on_and_ended_between_gateways(gateways: TwoGateways) -> None:
    here, there = gateways.server, gateways.other
    juliet, romeo = here.account(), here.account()
    phone, tablet = device(here, juliet, "phone"), device(there, juliet, "tablet")
    friend = device(there, romeo, "orchard")

    friend.send(f"<presence to='{juliet.jid}' type='subscribe'/>")
    assert "subscribe" == push(friend).get("ask")
    for each in (phone, tablet):
        presence(each, romeo.jid, "subscribe")
    tablet.send(f"<presence to='{romeo.jid}' type='subscribed'/>")
    presence(friend, juliet.jid, "subscribed")
    assert "to" == push(friend)["subscription"]
    assert ["from", "from"] == [push(each)["subscription"] for each in (phone, tablet)]
    assert {phone.jid, tablet.jid} == {presence(friend, f"{juliet.jid}/").get("from") for _ in range(2)}

    phone.send(f"<presence to='{romeo.jid}' type='subscribe'/>")
    presence(friend, juliet.jid, "subscribe")
    friend.send(f"<presence to='{juliet.jid}' type='subscribed'/>")
    for each in (phone, tablet):
        while push(each)["subscription"] != "both":
            pass
        presence(each, friend.jid)

    assert "" == roster_set(tablet, f"<item jid='{romeo.jid}' subscription='remove'/>")
    assert {phone.jid, tablet.jid} == {presence(friend, f"{juliet.jid}/", "unavailable").get("from") for _ in range(2)}
    assert "remove" == push(phone)["subscription"]
    assert ["none"] == [item["subscription"] for item in roster(friend).values()]


def test_a_request_waits_for_who_is_away_and_meets_him_on_the_other_gateway(gateways: TwoGateways) -> None:
    here, there = gateways.server, gateways.other
    juliet, romeo = here.account(), here.account()
    device(here, romeo, "orchard").send(f"<presence to='{juliet.jid}' type='subscribe'/>")
    late = Phone(there, juliet).bind()
    late.send("<presence/>")

    assert romeo.jid == presence(late, romeo.jid, "subscribe").get("from")


# Presence


def test_presence_comes_changes_and_goes(stage: Stage) -> None:
    stage.phone.send("<presence><status>reading</status></presence>")
    for watcher in (stage.romeo, stage.tablet):
        assert stage.phone.jid == presence(watcher, stage.phone.jid, status="reading").get("from")
    newcomer = device(stage.here, stage.romeo.account, "laptop", "")
    newcomer.send("<presence/>")
    assert {stage.phone.jid, stage.tablet.jid} == {presence(newcomer, f"{stage.juliet}/").get("from") for _ in range(2)}
    stage.phone.send("<presence type='unavailable'><status>gone</status></presence>")

    for watcher in (stage.romeo, stage.tablet, newcomer):
        assert stage.phone.jid == presence(watcher, stage.phone.jid, "unavailable", "gone").get("from")


@pytest.mark.parametrize("how", ["unavailable", "stream", "replaced"])
def test_who_got_directed_presence_learns_of_its_end(stage: Stage, how: str) -> None:
    stranger = device(stage.there, stage.here.account(), "cell")
    stage.phone.send(f"<presence to='{stranger.jid}'><status>only you</status></presence>")
    presence(stranger, stage.phone.jid, status="only you")
    if how == "unavailable":
        stage.phone.send("<presence type='unavailable'/>")
    elif how == "stream":
        stage.phone.send("</stream:stream>")
    else:
        Phone(stage.there, stage.phone.account).bind("phone")

    assert stage.phone.jid == presence(stranger, stage.phone.jid, "unavailable").get("from")


def test_a_device_that_sleeps_fades_for_all_on_the_other_gateway_and_comes_back_with_its_words(stage: Stage) -> None:
    stage.phone.send("<presence><status>reading</status></presence>")
    presence(stage.romeo, stage.phone.jid, status="reading")
    presence(stage.tablet, stage.phone.jid, status="reading")
    fence(stage.phone)
    stage.phone.ack()
    stage.phone.cut()
    for watcher in (stage.romeo, stage.tablet):
        faded = until(watcher, lambda e: e.get("from") == stage.phone.jid and e.findtext(stanza("show")) == "away")
        assert "" == faded.get("type", "")
    again = Phone(stage.there, stage.phone.account)
    assert sm("resumed") == again.resume(stage.phone.session_id, stage.phone.inbound).tag

    for watcher in (stage.romeo, stage.tablet):
        back = presence(watcher, stage.phone.jid, status="reading")
        assert back.find(stanza("show")) is None


# Messages


def test_copies_go_both_ways_between_gateways(stage: Stage) -> None:
    stage.phone.message(stage.romeo.account.jid, "from the phone")
    assert "from the phone" == body(stage.romeo)
    assert "copy: from the phone" == body(stage.tablet)
    stage.tablet.message(stage.romeo.account.jid, "from the tablet")
    assert "copy: from the tablet" == body(stage.phone)
    stage.romeo.message(stage.phone.jid, "to the phone")

    assert "to the phone" == body(stage.phone)
    assert "copy: to the phone" == body(stage.tablet)


def test_a_session_that_moves_to_the_other_gateway_keeps_its_copies(stage: Stage) -> None:
    fence(stage.phone)
    stage.phone.ack()
    moved = Phone(stage.there, stage.phone.account)
    assert sm("resumed") == moved.resume(stage.phone.session_id, stage.phone.inbound).tag
    moved.jid = stage.phone.jid
    stage.romeo.message(stage.tablet.jid, "to the tablet")

    assert "copy: to the tablet" == body(moved)


def test_what_one_gateway_archived_the_other_shows(stage: Stage) -> None:
    for number, sender in enumerate((stage.phone, stage.tablet, stage.romeo)):
        to = stage.juliet if sender is stage.romeo else stage.romeo.account.jid
        sender.message(to, f"m{number}")
        fence(sender)
    pages = [archive.ask(Phone(at, stage.phone.account).bind("reader")) for at in (stage.here, stage.there)]

    assert [["m0", "m1", "m2"]] * 2 == [page.bodies for page in pages]
    assert pages[0].ids == pages[1].ids


def test_what_was_stored_here_comes_there(gateways: TwoGateways) -> None:
    away = gateways.server.account()
    friend = device(gateways.server, gateways.server.account(), "cell")
    for number in range(3):
        friend.message(away.jid, f"m{number}")
    fence(friend)
    late = Phone(gateways.other, away).bind()
    late.send("<presence/>")

    assert ["m0", "m1", "m2"] == late.bodies(3)


def test_an_inactive_device_is_disturbed_from_the_other_gateway_by_what_is_urgent_only(stage: Stage) -> None:
    fence(stage.tablet)
    stage.tablet.send(INACTIVE)
    stage.tablet.ack()
    stage.tablet.handled()
    state = f"<composing xmlns='{ns.CHATSTATES}'/>"
    stage.phone.send("<presence><status>one</status></presence>")
    stage.phone.send("<presence><status>two</status></presence>")
    stage.phone.send(f"<message to='{stage.tablet.jid}' type='chat'>{state}</message>")
    fence(stage.phone)
    with pytest.raises(ServerSilent):
        stage.tablet.next(0.5)
    stage.phone.message(stage.tablet.jid, "urgent")

    held, urgent = stage.tablet.next(), stage.tablet.next()
    assert f"{{{ns.CHATSTATES}}}composing" == held[0].tag
    assert "urgent" == urgent.findtext(BODY)
    stage.tablet.send(ACTIVE)
    assert ["two"] == [e.findtext(stanza("status")) for e in fence(stage.tablet) if e.get("from") == stage.phone.jid]


# Eventing, blocking, storage


def test_an_event_reaches_devices_and_contacts_on_the_other_gateway_and_who_comes_later(gateways: TwoGateways) -> None:
    here, there = gateways.server, gateways.other
    juliet, romeo = here.account(), here.account()
    befriend(here, juliet, romeo)
    tablet, friend = Client(there, juliet, TUNE).online("tablet"), Client(there, romeo, TUNE).online("orchard")
    phone = Phone(here, juliet).bind()
    result(phone, publish(TUNE, f"<tune xmlns='{TUNE}'><title>La</title></tune>"), type="set")

    for watcher in (tablet, friend):
        event = watcher.event()
        assert (TUNE, True) == (node_of(event), "<ns" in text_of(event) and ">La<" in text_of(event))
    assert TUNE == node_of(Client(here, romeo, TUNE).online("late").event())
    assert TUNE == node_of(Client(there, juliet, TUNE).online("third").event())
    retract = f"<retract node='{TUNE}' notify='1'><item id='current'/></retract>"
    assert "" == error_of(iq(phone, f"<pubsub xmlns='{ns.PUBSUB}'>{retract}</pubsub>", type="set"))
    assert "retract" in text_of(friend.event())


def test_a_block_is_pushed_to_the_other_gateway_and_kept_there_at_once(stage: Stage) -> None:
    romeo = stage.romeo.account.jid
    result_of = iq(stage.phone, f"<block xmlns='{ns.BLOCKING}'><item jid='{romeo}'/></block>", type="set")
    assert "result" == result_of.get("type")
    found = until(stage.tablet, lambda element: element.find(f"{{{ns.BLOCKING}}}block") is not None)
    assert [romeo] == [item.get("jid") for item in found.iter(f"{{{ns.BLOCKING}}}item")]
    assert {stage.phone.jid, stage.tablet.jid} == {
        presence(stage.romeo, f"{stage.juliet}/", "unavailable").get("from") for _ in range(2)
    }
    stage.romeo.message(stage.juliet, "let me in")
    bounced = until(stage.romeo, lambda element: element.tag == MESSAGE)
    assert "service-unavailable" == condition(bounced)
    stage.tablet.message(romeo, "no")
    assert "not-acceptable" == condition(until(stage.tablet, lambda element: element.tag == MESSAGE))
    iq(stage.tablet, f"<unblock xmlns='{ns.BLOCKING}'/>", type="set")

    until(stage.phone, lambda element: element.find(f"{{{ns.BLOCKING}}}unblock") is not None)
    assert {stage.phone.jid, stage.tablet.jid} == {
        presence(stage.romeo, f"{stage.juliet}/").get("from") for _ in range(2)
    }


def test_a_card_is_the_same_everywhere_and_a_new_photo_is_told(stage: Stage) -> None:
    card = (
        f"<vCard xmlns='{ns.VCARD}'><FN>Juliet</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>aGk=</BINVAL></PHOTO></vCard>"
    )
    photo = f"{{{ns.VCARD_UPDATE}}}x/{{{ns.VCARD_UPDATE}}}photo"
    assert "" == error_of(iq(stage.phone, card, type="set"))

    for watcher in (stage.tablet, stage.romeo):
        told = until(watcher, lambda element: bool(element.findtext(photo)))
        assert "c22b5f9178342609428d6f51b2c5af4c0bde6a42" == told.findtext(photo)
        shown = result(watcher, f"<vCard xmlns='{ns.VCARD}'/>", to=stage.juliet)
        assert "Juliet" == shown.findtext(f"{{{ns.VCARD}}}FN")


# Commands and accounts


def test_a_command_goes_on_at_the_other_gateway(gateways: TwoGateways) -> None:
    admin = Account("user1")
    here = device(gateways.server, admin, "desk")
    begun = adhoc.command(here, ADD_USER).find(adhoc.COMMAND)
    assert begun is not None
    fence(here)
    here.ack()
    here.cut()
    there = Phone(gateways.other, admin)
    assert sm("resumed") == there.resume(here.session_id, here.inbound).tag
    fields = adhoc.form(accountjid="newcomer@localhost", password="long enough", password__verify="long enough")
    done = adhoc.command(there, ADD_USER, sessionid=begun.get("sessionid", ""), inner=fields).find(adhoc.COMMAND)

    assert done is not None and "completed" == done.get("status")
    assert "newcomer@localhost" in gateways.server.command("user", "list")
    again = adhoc.command(there, ADD_USER, sessionid=begun.get("sessionid", ""), inner=fields)
    assert ("not-allowed", "session-expired") == adhoc.error_of(again)


def test_a_new_password_ends_the_session_on_the_other_gateway_and_not_one_s_own(stage: Stage) -> None:
    name = stage.phone.account.name
    new = f"<query xmlns='{ns.REGISTER}'><username>{name}</username><password>another one</password></query>"
    assert "result" == iq(stage.phone, new, to="localhost", type="set").get("type")

    assert "not-authorized" == condition_of(stage.tablet.stream_error())
    assert [] == [element for element in fence(stage.phone) if element.tag == MESSAGE]
    for at in (stage.here, stage.there):
        with pytest.raises(Unexpected, match="not-authorized"):
            Phone(at, stage.phone.account)


def test_a_removed_account_is_gone_everywhere(stage: Stage) -> None:
    removal = f"<query xmlns='{ns.REGISTER}'><remove/></query>"
    stage.phone.send(f"<iq type='set' id='bye' to='localhost'>{removal}</iq>")
    assert "not-authorized" == condition_of(stage.tablet.stream_error())

    assert {stage.phone.jid, stage.tablet.jid} == {
        presence(stage.romeo, f"{stage.juliet}/", "unavailable").get("from") for _ in range(2)
    }
    assert "service-unavailable" == refusal(stage.romeo, f"<vCard xmlns='{ns.VCARD}'/>", to=stage.juliet)
    for at in (stage.here, stage.there):
        with pytest.raises(Unexpected, match="not-authorized"):
            Phone(at, stage.phone.account)
