"""XEP-0054 on the wire: one card per account, its own to write, everybody's to read."""

import pytest

from gateway.mailbox.vault import StorageSettings
from gateway.xmpp import ns
from tests.support.iq import ask, block, error_of, refusal, result
from tests.support.phone import Phone
from tests.support.processes import DOMAIN, Server

GET = f"<vCard xmlns='{ns.VCARD}'/>"
CARD = f"<vCard xmlns='{ns.VCARD}' version='3.0'><FN>Juliet</FN><TEL><HOME/><NUMBER>1</NUMBER></TEL></vCard>"


def on(server: Server) -> Phone:
    return Phone(server, server.account()).bind()


def keep(phone: Phone, card: str, to: str | None = None) -> str:
    """The condition of a refusal, "" if the card was kept."""
    return error_of(ask(phone, card, to=to, type="set"))


def full_name(phone: Phone, to: str | None = None) -> str | None:
    return result(phone, GET, to=to).findtext(f"{{{ns.VCARD}}}FN")


def test_a_card_comes_back_whole_to_its_owner_and_to_strangers(server: Server) -> None:
    juliet, romeo = on(server), on(server)

    assert "" == keep(juliet, CARD)
    for card in (
        result(juliet, GET),
        result(juliet, GET, to=juliet.account.jid),
        result(romeo, GET, to=juliet.account.jid),
    ):
        assert "3.0" == card.get("version")
        assert "Juliet" == card.findtext(f"{{{ns.VCARD}}}FN")
        assert ["HOME", "NUMBER"] == [child.tag.split("}")[1] for child in card[1]]


def test_without_a_card_the_owner_gets_an_empty_one(server: Server) -> None:
    assert 0 == len(result(on(server), GET))


def test_no_card_and_no_account_look_alike_to_others(server: Server) -> None:
    juliet, romeo = on(server), on(server)

    assert "service-unavailable" == refusal(romeo, GET, to=juliet.account.jid)
    assert "service-unavailable" == refusal(romeo, GET, to=f"nobody@{DOMAIN}")


def test_who_is_blocked_sees_no_card(server: Server) -> None:
    juliet, romeo = on(server), on(server)
    keep(juliet, CARD)
    block(server, juliet.account, romeo.account.jid)

    assert "service-unavailable" == refusal(romeo, GET, to=juliet.account.jid)
    assert "Juliet" == full_name(juliet)


def test_nobody_writes_another_s_card(server: Server) -> None:
    juliet, romeo = on(server), on(server)
    keep(juliet, CARD)

    for to in (juliet.account.jid, f"nobody@{DOMAIN}", DOMAIN):
        assert "forbidden" == keep(romeo, CARD.replace("Juliet", "Romeo"), to=to)
    assert "Juliet" == full_name(juliet)
    assert 0 == len(result(romeo, GET))


def test_the_whole_card_is_replaced(server: Server) -> None:
    phone = on(server)
    keep(phone, CARD)
    keep(phone, f"<vCard xmlns='{ns.VCARD}'><NICKNAME>j</NICKNAME></vCard>")

    assert [f"{{{ns.VCARD}}}NICKNAME"] == [child.tag for child in result(phone, GET)]


@pytest.mark.parametrize("photo", ["not base64!", "", "<x/>", "====", "\u00e4"])
def test_an_odd_photo_is_kept_and_is_no_avatar(server: Server, photo: str) -> None:
    phone = on(server)

    assert "" == keep(
        phone, f"<vCard xmlns='{ns.VCARD}'><FN>F</FN><PHOTO><BINVAL>{photo}</BINVAL></PHOTO><PHOTO/></vCard>"
    )
    assert "F" == full_name(phone)


def test_a_card_that_is_too_large_changes_nothing(server: Server) -> None:
    phone = on(server)
    keep(phone, CARD)
    large = "x" * StorageSettings().vcard_bytes

    assert "resource-constraint" == keep(phone, f"<vCard xmlns='{ns.VCARD}'><FN>{large}</FN></vCard>")
    assert "Juliet" == full_name(phone)


def test_the_server_has_no_card(server: Server) -> None:
    phone = on(server)

    assert "service-unavailable" == refusal(phone, GET, to=DOMAIN)
    assert "service-unavailable" == refusal(phone, GET.replace("vCard", "vcard"))
