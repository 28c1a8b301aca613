"""RFC 6121, section 3, on the wire. The tables of appendix A, row by row: tests/mailbox/test_subscription_states.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.people import (
    befriend,
    error_of,
    everything,
    here,
    presences,
    pushes,
    roster,
    roster_set,
    subscription,
)
from tests.support.phone import Phone, online
from tests.support.pieces import Pieces, eventually, pieces


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    with pieces(tmp_path_factory.mktemp("subscriptions"), commands=("sweeper",)) as server:
        server.stock_accounts(60)
        yield server


@dataclass
class Couple:
    romeo: Phone
    juliet: Phone

    def states(self) -> tuple[str, str]:
        """Romeo's subscription to Juliet as both rosters have it."""
        return subscription(self.romeo, self.juliet.account.jid), subscription(self.juliet, self.romeo.account.jid)


@pytest.fixture
def couple(house: Pieces) -> Couple:
    return Couple(here(house, house.account(), "orchard"), here(house, house.account(), "balcony"))


def say(phone: Phone, type_: str, to: Phone, inner: str = "") -> None:
    phone.send(f"<presence id='x' to='{to.account.jid}' type='{type_}'>{inner}</presence>")


def test_a_request_is_delivered_with_bare_addresses_and_its_text(couple: Couple) -> None:
    couple.romeo.send(
        f"<presence id='r1' to='{couple.juliet.jid}' type='subscribe'><status>It is I</status></presence>"
    )
    pushed = pushes(everything(couple.romeo))
    (request,) = [each for each in everything(couple.juliet) if each.get("type") == "subscribe"]

    assert (couple.romeo.account.jid, couple.juliet.account.jid) == (request.get("from"), request.get("to"))
    assert "It is I" == request.findtext("{jabber:client}status")
    assert [{couple.juliet.account.jid: {"subscription": "none", "ask": "subscribe", "groups": ""}}] == pushed
    assert ("none ask", "-") == couple.states()


def test_approval_is_told_and_brings_the_presence(couple: Couple) -> None:
    romeo, juliet = couple.romeo, couple.juliet
    say(romeo, "subscribe", juliet)
    everything(romeo)
    say(juliet, "subscribed", romeo)
    everything(juliet)
    came = everything(romeo)

    assert [(juliet.account.jid, "subscribed"), (juliet.jid, "")] == presences(came, juliet.account.jid)
    assert [{juliet.account.jid: {"subscription": "to", "groups": ""}}] == pushes(came)
    assert ("to", "from") == couple.states()


def test_denial_is_told(couple: Couple) -> None:
    say(couple.romeo, "subscribe", couple.juliet)
    everything(couple.romeo)
    say(couple.juliet, "unsubscribed", couple.romeo)
    everything(couple.juliet)

    assert (couple.juliet.account.jid, "unsubscribed") in presences(everything(couple.romeo))
    assert ("none", "-") == couple.states()


def test_both_ways_and_back(couple: Couple) -> None:
    romeo, juliet = couple.romeo, couple.juliet
    befriend(romeo, juliet)
    both = couple.states()
    say(romeo, "unsubscribe", juliet)
    seen_by_romeo, seen_by_juliet = everything(romeo), everything(juliet)
    after = couple.states()
    say(romeo, "unsubscribed", juliet)
    everything(romeo)
    seen_last = presences(everything(juliet))

    assert ("both", "both") == both
    assert (juliet.jid, "unavailable") in presences(seen_by_romeo)
    assert (romeo.account.jid, "unsubscribe") in presences(seen_by_juliet)
    assert ("from", "to") == after
    assert ("none", "none") == couple.states()
    assert {(romeo.jid, "unavailable"), (romeo.account.jid, "unsubscribed")} <= set(seen_last)


def test_a_removed_contact_loses_both_subscriptions(couple: Couple) -> None:
    befriend(couple.romeo, couple.juliet)
    roster_set(couple.romeo, f"<item jid='{couple.juliet.account.jid}' subscription='remove'/>")
    came = presences(everything(couple.juliet), couple.romeo.account.jid)

    assert ("-", "none") == couple.states()
    assert {"unsubscribe", "unsubscribed", "unavailable"} == {type_ for _, type_ in came}


def test_a_request_waits_for_who_is_away_until_it_is_answered(house: Pieces) -> None:
    romeo, account = here(house, house.account()), house.account()
    romeo.send(f"<presence to='{account.jid}' type='subscribe'><status>hi</status></presence>")
    everything(romeo)
    told = []
    for resource in ("one", "two"):
        phone = Phone(house, account).bind(resource)
        phone.send("<presence/>")
        told.append((romeo.account.jid, "subscribe") in presences(everything(phone)))
    phone.send(f"<presence to='{romeo.account.jid}' type='subscribed'/>")
    everything(phone)
    third = Phone(house, account).bind("three")
    third.send("<presence/>")

    assert [True, True] == told
    assert (romeo.account.jid, "subscribe") not in presences(everything(third))


def test_a_request_waits_beside_the_queue_of_a_session_asleep(house: Pieces) -> None:
    romeo, account = here(house, house.account()), house.account()
    phone = online(house, account)
    seen = phone.inbound
    phone.cut()
    house.wait(lambda: "asleep" == house.session(account.jid, phone.session_id).get("state"), "the session to sleep")
    romeo.send(f"<presence to='{account.jid}' type='subscribe'/>")
    everything(romeo)

    again = Phone(house, account)
    again.resume(phone.session_id, seen)

    assert (romeo.account.jid, "subscribe") in presences(everything(again))


def test_a_pre_approved_contact_is_not_asked_about(couple: Couple) -> None:
    romeo, juliet = couple.romeo, couple.juliet
    say(juliet, "subscribed", romeo)
    approved = pushes(everything(juliet))
    say(romeo, "subscribe", juliet)
    came = presences(everything(romeo))

    assert [{romeo.account.jid: {"subscription": "none", "approved": "true", "groups": ""}}] == approved
    assert [(juliet.account.jid, "subscribed"), (juliet.jid, "")] == came
    assert "subscribe" not in {type_ for _, type_ in presences(everything(juliet))}
    assert ("to", "from") == couple.states()


def test_a_pre_approval_is_taken_back(couple: Couple) -> None:
    say(couple.juliet, "subscribed", couple.romeo)
    say(couple.juliet, "unsubscribed", couple.romeo)
    everything(couple.juliet)

    assert "none" == couple.states()[1]


def test_somebody_who_is_subscribed_is_answered_at_once(couple: Couple) -> None:
    befriend(couple.romeo, couple.juliet)
    say(couple.romeo, "subscribe", couple.juliet)
    everything(couple.romeo)

    assert [] == presences(everything(couple.juliet))
    assert ("both", "both") == couple.states()


@pytest.mark.parametrize("type_", ["subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"])
def test_other_servers_cannot_be_found_and_nothing_changes(couple: Couple, type_: str) -> None:
    couple.romeo.send(f"<presence id='x' to='juliet@elsewhere.example' type='{type_}'/>")

    assert ["remote-server-not-found"] == [error_of(each) for each in everything(couple.romeo) if error_of(each)]
    assert {} == roster(couple.romeo)


@pytest.mark.parametrize("type_", ["subscribe", "subscribed", "unsubscribe", "unsubscribed"])
def test_nobody_and_oneself_are_silently_ignored(couple: Couple, type_: str) -> None:
    for to in ("nobody@localhost", couple.romeo.account.jid):
        couple.romeo.send(f"<presence id='x' to='{to}' type='{type_}'/>")

    assert [] == [error_of(each) for each in everything(couple.romeo) if error_of(each)]
    assert couple.romeo.account.jid not in roster(couple.romeo)


@pytest.mark.parametrize("type_", ["subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"])
def test_a_subscription_is_to_somebody(couple: Couple, type_: str) -> None:
    couple.romeo.send(f"<presence id='x' type='{type_}'/>")

    assert ["bad-request"] == [error_of(each) for each in everything(couple.romeo) if error_of(each)]


def test_a_removed_account_s_contacts_are_told(house: Pieces, couple: Couple) -> None:
    befriend(couple.romeo, couple.juliet)
    house.command("user", "delete", couple.romeo.account.jid)

    eventually(lambda: "none" == subscription(couple.juliet, couple.romeo.account.jid), "the subscription to end")
