"""RFC 6121, section 2, and XEP-0237: the roster on the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.xmpp import ns
from tests.support.people import (
    QUERY,
    error_of,
    everything,
    here,
    items_of,
    pushes,
    request,
    roster,
    roster_get,
    roster_set,
)
from tests.support.phone import Phone
from tests.support.pieces import Pieces, pieces


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    settings = {"roster": {"max_items": 5, "max_groups": 3, "max_name_length": 10}}
    with pieces(tmp_path_factory.mktemp("roster"), settings=settings) as server:
        server.stock_accounts(70)
        yield server


def test_versioning_and_pre_approval_are_offered(house: Pieces) -> None:
    offered = {element.tag for element in Phone(house, house.account()).features}

    assert {f"{{{ns.ROSTER_VERSIONING}}}ver", f"{{{ns.SUBSCRIPTION_PRE_APPROVAL}}}sub"} <= offered


def test_a_new_account_s_roster_is_empty(house: Pieces) -> None:
    answer = roster_get(here(house, house.account()))

    assert "result" == answer.get("type")
    assert {} == items_of(answer.find(QUERY))
    assert "ver" not in answer[0].attrib  # section 2.1.1: only for who sent one


def test_an_item_is_pushed_to_every_interested_resource_and_kept(house: Pieces) -> None:
    account = house.account()
    one, two, other = here(house, account, "one"), here(house, account, "two"), Phone(house, account).bind("other")

    answer = request(
        one,
        "set",
        f"<query xmlns='{ns.ROSTER}'><item jid='Nurse@localhost' name='N &amp; &lt;'><group>a</group>"
        "<group>b &gt;</group></item></query>",
    )
    expected = {"nurse@localhost": {"name": "N & <", "subscription": "none", "groups": "a,b >"}}

    assert "result" == answer.get("type")
    assert [expected] == pushes(everything(two))
    assert [] == pushes(everything(other))
    assert expected == roster(one)


def test_the_resource_that_changes_the_roster_gets_the_push_as_well(house: Pieces) -> None:
    phone = here(house, house.account())
    phone.send(f"<iq type='set' id='s'><query xmlns='{ns.ROSTER}'><item jid='n@localhost'/></query></iq>")

    (push,) = [each for each in everything(phone) if each.get("type") == "set"]

    assert phone.jid == push.get("to")
    assert push.get("from") in (None, phone.account.jid)
    phone.send(f"<iq type='result' id='{push.get('id')}'/>")
    assert [] == everything(phone)


def test_a_handle_and_groups_are_taken_away(house: Pieces) -> None:
    phone = here(house, house.account())
    roster_set(phone, "<item jid='n@localhost' name='N'><group>a</group></item>")
    roster_set(phone, "<item jid='n@localhost' name=''/>")

    assert {"n@localhost": {"subscription": "none", "groups": ""}} == roster(phone)


def test_what_a_client_says_of_subscriptions_is_ignored(house: Pieces) -> None:
    phone = here(house, house.account())
    roster_set(phone, "<item jid='n@localhost' subscription='both' ask='subscribe' approved='true'/>")

    assert {"n@localhost": {"subscription": "none", "groups": ""}} == roster(phone)


def test_a_removal_is_pushed(house: Pieces) -> None:
    account = house.account()
    one, two = here(house, account, "one"), here(house, account, "two")
    roster_set(one, "<item jid='n@localhost'/>")
    everything(two)

    assert "" == roster_set(one, "<item jid='n@localhost' subscription='remove'/>")
    assert [{"n@localhost": {"subscription": "remove", "groups": ""}}] == pushes(everything(two))
    assert {} == roster(one)


BAD_SETS = {
    "nothing": ("", "bad-request"),
    "two items": ("<item jid='a@localhost'/><item jid='b@localhost'/>", "bad-request"),
    "no jid": ("<item name='x'/>", "bad-request"),
    "an empty jid": ("<item jid=''/>", "bad-request"),
    "a bad jid": ("<item jid='a@b@c'/>", "jid-malformed"),
    "a full jid": ("<item jid='a@localhost/x'/>", "bad-request"),
    "another namespace": ("<item xmlns='urn:other' jid='a@localhost'/>", "bad-request"),
    "text": ("a@localhost", "bad-request"),
    "a group twice": ("<item jid='a@localhost'><group>g</group><group>g</group></item>", "bad-request"),
    "an empty group": ("<item jid='a@localhost'><group/></item>", "not-acceptable"),
    "a long group": ("<item jid='a@localhost'><group>12345678901</group></item>", "not-acceptable"),
    "a long name": ("<item jid='a@localhost' name='12345678901'/>", "not-acceptable"),
    "many groups": (
        "<item jid='a@localhost'>" + "".join(f"<group>{n}</group>" for n in range(4)) + "</item>",
        "not-acceptable",
    ),
    "what is not there, to remove": ("<item jid='a@localhost' subscription='remove'/>", "item-not-found"),
}


@pytest.mark.parametrize("what", BAD_SETS)
def test_a_bad_set_is_refused_and_changes_nothing(house: Pieces, what: str) -> None:
    phone = here(house, house.account())
    payload, condition = BAD_SETS[what]

    assert condition == roster_set(phone, payload)
    assert {} == roster(phone)


def test_oneself_is_no_contact(house: Pieces) -> None:
    phone = here(house, house.account())

    assert "not-allowed" == roster_set(phone, f"<item jid='{phone.account.jid}'/>")


def test_a_full_roster_refuses_another_contact(house: Pieces) -> None:
    phone = here(house, house.account())
    answers = [roster_set(phone, f"<item jid='c{n}@localhost'/>") for n in range(6)]
    phone.send("<presence id='p' to='c9@localhost' type='subscribe'/>")
    refusal = [error_of(each) for each in everything(phone) if each.get("id") == "p"]

    assert [""] * 5 + ["resource-constraint"] == answers
    assert ["resource-constraint"] == refusal
    assert 5 == len(roster(phone))


@pytest.mark.parametrize("type_", ["get", "set"])
def test_somebody_else_s_roster_looks_like_one_that_does_not_exist(house: Pieces, type_: str) -> None:
    phone, other = here(house, house.account()), house.account()
    payload = f"<query xmlns='{ns.ROSTER}'><item jid='a@localhost'/></query>"

    answers = [error_of(request(phone, type_, payload, to=to)) for to in (other.jid, "nobody@localhost")]

    assert ["service-unavailable"] * 2 == answers
    assert {} == roster(here(house, other))


# Versions: section 2.6


def version_of(phone: Phone) -> str:
    return roster_get(phone, "")[0].get("ver", "")


def test_a_client_with_the_newest_version_gets_an_empty_result_and_no_push(house: Pieces) -> None:
    phone = here(house, house.account())
    roster_set(phone, "<item jid='a@localhost'/>")

    answer = roster_get(phone, version_of(phone))

    assert ("result", 0) == (answer.get("type"), len(answer))
    assert [] == pushes(everything(phone))


def test_a_client_with_an_older_version_gets_the_changes_as_pushes(house: Pieces) -> None:
    account = house.account()
    phone = here(house, account)
    for name in "abc":
        roster_set(phone, f"<item jid='{name}@localhost'/>")
    version = version_of(phone)
    roster_set(phone, "<item jid='b@localhost' name='B'/>")
    roster_set(phone, "<item jid='b@localhost' name='BB'/>")
    roster_set(phone, "<item jid='a@localhost' subscription='remove'/>")
    newest = version_of(phone)

    late = Phone(house, account).bind("late")
    answer = roster_get(late, version)
    sent = [each for each in everything(late) if each.get("type") == "set"]

    assert ("result", 0) == (answer.get("type"), len(answer))
    assert [
        {"b@localhost": {"name": "BB", "subscription": "none", "groups": ""}},
        {"a@localhost": {"subscription": "remove", "groups": ""}},
    ] == pushes(sent)
    assert newest == sent[-1][0].get("ver")


@pytest.mark.parametrize("version", ["", "nonsense", "99999999999999", "-5", "0"])
def test_an_unknown_version_gets_the_whole_roster(house: Pieces, version: str) -> None:
    phone = here(house, house.account())
    roster_set(phone, "<item jid='a@localhost'/>")

    answer = roster_get(phone, version)

    assert {"a@localhost": {"subscription": "none", "groups": ""}} == items_of(answer.find(QUERY))
    assert answer[0].get("ver", "").isdigit()
