"""RFC 6121, section 4, on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.people import PRESENCE, befriend, everything, here, presences
from tests.support.phone import Phone, online
from tests.support.pieces import Pieces, eventually, pieces

FADES_AFTER_S = 2


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    settings = {
        "presence": {"hibernation_available_time": FADES_AFTER_S},
        "smacks": {"smacks_hibernation_time": 600},
    }
    with pieces(tmp_path_factory.mktemp("presence"), commands=("sweeper",), settings=settings) as server:
        server.stock_accounts(60)
        yield server


@dataclass
class Couple:
    """Subscribed to each other, both with a phone online."""

    house: Pieces
    romeo: Phone
    juliet: Phone

    def another(self, resource: str, presence: str = "<presence/>") -> tuple[Phone, list[tuple[str, str]]]:
        """Another device of Juliet's, and the presence that it sees."""
        phone = Phone(self.house, self.juliet.account).bind(resource)
        phone.send(presence)
        return phone, presences(everything(phone))


@pytest.fixture
def couple(house: Pieces) -> Couple:
    romeo, juliet = here(house, house.account(), "orchard"), here(house, house.account(), "balcony")
    befriend(romeo, juliet)
    everything(juliet)
    return Couple(house, romeo, juliet)


def test_initial_presence_reaches_oneself_the_other_devices_and_contacts_and_is_answered(couple: Couple) -> None:
    laptop, seen = couple.another("laptop", "<presence><show>dnd</show></presence>")

    assert {(laptop.jid, ""), (couple.juliet.jid, ""), (couple.romeo.jid, "")} == set(seen)
    assert [(laptop.jid, "")] == presences(everything(couple.juliet))
    (told,) = [each for each in everything(couple.romeo) if each.tag == PRESENCE]
    assert (laptop.jid, couple.romeo.account.jid) == (told.get("from"), told.get("to"))
    assert "dnd" == told.findtext("{jabber:client}show")


def test_later_presence_is_told_and_asks_for_nothing(couple: Couple) -> None:
    couple.juliet.send("<presence><show>away</show></presence>")
    own = presences(everything(couple.juliet))

    assert [(couple.juliet.jid, "")] == own
    assert [(couple.juliet.jid, "")] == presences(everything(couple.romeo))


def test_unavailable_is_told_with_its_status(couple: Couple) -> None:
    couple.juliet.send("<presence type='unavailable'><status>zzz</status></presence>")
    everything(couple.juliet)
    (told,) = [each for each in everything(couple.romeo) if each.tag == PRESENCE]

    assert ("unavailable", "zzz") == (told.get("type"), told.findtext("{jabber:client}status"))


def test_the_end_of_a_stream_is_told_at_once(couple: Couple) -> None:
    couple.juliet.send("</stream:stream>")

    gone = couple.romeo.next()

    assert (couple.juliet.jid, "unavailable") == (gone.get("from"), gone.get("type"))


def test_a_lost_link_without_resumption_is_told(couple: Couple) -> None:
    couple.juliet.cut()

    gone = couple.romeo.next()

    assert (couple.juliet.jid, "unavailable") == (gone.get("from"), gone.get("type"))


def test_strangers_see_nothing_of_each_other(house: Pieces) -> None:
    one, two = here(house, house.account()), here(house, house.account())
    two.send("<presence><show>chat</show></presence>")
    everything(two)

    assert [] == presences(everything(one))


# Probes


def test_a_client_s_own_probe_is_answered_to_it_alone(couple: Couple) -> None:
    couple.romeo.send(f"<presence type='probe' to='{couple.juliet.account.jid}'/>")

    assert [(couple.juliet.jid, "")] == presences(everything(couple.romeo))
    assert [] == presences(everything(couple.juliet))


def test_a_probe_of_a_contact_who_is_away_is_answered_unavailable(couple: Couple) -> None:
    couple.juliet.send("<presence type='unavailable'/>")
    everything(couple.juliet)
    everything(couple.romeo)
    couple.romeo.send(f"<presence type='probe' to='{couple.juliet.account.jid}'/>")

    assert [(couple.juliet.account.jid, "unavailable")] == presences(everything(couple.romeo))


def test_a_stranger_s_probe_does_not_tell_whether_there_is_such_an_account(house: Pieces) -> None:
    nosy, juliet = here(house, house.account()), here(house, house.account())
    seen = []
    for to in (juliet.account.jid, "nobody@localhost"):
        nosy.send(f"<presence type='probe' to='{to}'/>")
        seen.append([type_ for _, type_ in presences(everything(nosy))])

    assert [["unsubscribed"], ["unsubscribed"]] == seen


# Directed presence


def test_directed_presence_ends_with_the_session(house: Pieces) -> None:
    romeo, juliet = here(house, house.account(), "r"), here(house, house.account(), "j")
    romeo.send(f"<presence to='{juliet.jid}'><status>for you</status></presence>")
    everything(romeo)
    first = presences(everything(juliet))
    romeo.send("</stream:stream>")

    assert [(romeo.jid, "")] == first
    assert (romeo.jid, "unavailable") == (lambda gone: (gone.get("from"), gone.get("type")))(juliet.next())


def test_directed_presence_of_a_session_that_is_else_unavailable_ends_too(house: Pieces) -> None:
    juliet = here(house, house.account(), "j")
    romeo = here(house, house.account(), "r", presence="")
    romeo.send(f"<presence to='{juliet.account.jid}'/>")
    everything(romeo)
    everything(juliet)
    romeo.cut()

    assert (romeo.jid, "unavailable") == (lambda gone: (gone.get("from"), gone.get("type")))(juliet.next())


def test_who_was_told_of_the_end_already_is_not_told_again(house: Pieces) -> None:
    romeo, juliet = here(house, house.account(), "r"), here(house, house.account(), "j")
    for type_ in ("", " type='unavailable'"):
        romeo.send(f"<presence to='{juliet.jid}'{type_}/>")
    romeo.send("<presence type='unavailable'/>")
    everything(romeo)

    assert [(romeo.jid, ""), (romeo.jid, "unavailable")] == presences(everything(juliet))


def test_presence_to_a_contact_s_full_jid_reaches_that_device_alone(couple: Couple) -> None:
    laptop, _ = couple.another("laptop")
    everything(couple.juliet)
    couple.romeo.send(f"<presence to='{laptop.jid}'><show>xa</show></presence>")
    everything(couple.romeo)

    assert [(couple.romeo.jid, "")] == presences(everything(laptop))
    assert [] == presences(everything(couple.juliet))


# Blocking


def test_a_blocked_contact_gets_nothing_and_gives_nothing(couple: Couple) -> None:
    couple.juliet.send(
        f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{couple.romeo.account.jid}'/></block></iq>"
    )
    everything(couple.juliet)
    told: list[tuple[str, str]] = []
    eventually(
        lambda: told.extend(presences(everything(couple.romeo), couple.juliet.account.jid)) or told,
        "that who is blocked sees one go",
    )
    couple.juliet.send("<presence><show>xa</show></presence>")
    couple.romeo.send("<presence><show>xa</show></presence>")
    everything(couple.romeo)

    assert [(couple.juliet.jid, "unavailable")] == told
    assert [] == presences(everything(couple.juliet), couple.romeo.account.jid)
    assert [] == presences(everything(couple.romeo), couple.juliet.account.jid)


# Sessions asleep


def test_a_session_asleep_is_available_then_away_and_at_its_resumption_what_it_was(house: Pieces) -> None:
    romeo, account = here(house, house.account()), house.account()
    setup = here(house, account, "setup")
    befriend(romeo, setup)
    setup.send("</stream:stream>")
    phone = online(house, account)
    everything(romeo)
    everything(phone)
    phone.ack()
    phone.handled()
    phone.cut()
    seen = romeo.next(timeout_s=20)
    while seen.tag != PRESENCE or seen.findtext("{jabber:client}show") != "away":
        seen = romeo.next(timeout_s=20)
    idle = seen.find("{urn:xmpp:idle:1}idle")
    newcomer = Phone(house, romeo.account).bind("late")
    newcomer.send("<presence/>")
    shown = [each.findtext("{jabber:client}show") for each in everything(newcomer) if each.get("from") == phone.jid]
    again = Phone(house, account)
    again.resume(phone.session_id, phone.inbound)
    everything(romeo)

    assert phone.jid == seen.get("from")
    assert idle is not None and idle.get("since", "").endswith("Z")
    assert ["away"] == shown
    eventually(
        lambda: (phone.jid, "") in presences(everything(newcomer)),
        "its own presence again",
    )
