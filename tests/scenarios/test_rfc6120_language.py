"""RFC 6120 sections 4.7.4 and 8.1.5 on the wire: what is said in a stream's language is said to be."""

from xml.etree.ElementTree import Element

import pytest

from gateway.xmpp import ns
from tests.support.phone import Phone, online, stanza
from tests.support.processes import Server

LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def speaking(server: Server, lang: str) -> Phone:
    return Phone(server, server.account(), lang=lang).bind()


def languages(listener: Phone, count: int, name: str = "message") -> list[str | None]:
    return [listener.skip_to(stanza(name), stanza("presence")).get(LANG) for _ in range(count)]


def test_what_has_no_language_gets_that_of_its_stream_and_what_has_one_keeps_it(server: Server) -> None:
    juliet, romeo = speaking(server, "de-CH"), Phone(server, server.account()).bind()
    juliet.send(f"<message to='{romeo.jid}'><body>Grüezi</body></message>")
    juliet.send(f"<message to='{romeo.jid}' xml:lang='it'><body>Ciao</body></message>")
    juliet.send(f"<message xmlns='{ns.CLIENT}' to='{romeo.jid}'><body xml:lang='fr'>Salut</body></message>")

    assert ["de-CH", "it", "de-CH"] == languages(romeo, 3)


@pytest.mark.parametrize("lang", ["", "en", "EN", "no language", "x" * 40, "a'b<"])
def test_nothing_is_said_of_the_default_or_of_what_is_no_language(server: Server, lang: str) -> None:
    juliet, romeo = speaking(server, lang), Phone(server, server.account()).bind()
    juliet.message(romeo.jid, "hello")

    assert [None] == languages(romeo, 1)


def test_presence_and_requests_to_others_have_it_too(server: Server) -> None:
    juliet, romeo = speaking(server, "de"), Phone(server, server.account()).bind()
    juliet.send(f"<presence to='{romeo.jid}'><status>da</status></presence>")
    juliet.send(f"<iq type='get' id='i' to='{romeo.jid}'><query xmlns='jabber:iq:version'/></iq>")

    assert [("presence", "de"), ("iq", "de")] == [
        (each.tag.split("}")[1], each.get(LANG)) for each in (romeo.next(), romeo.next())
    ]


def test_own_presence_has_it(server: Server) -> None:
    juliet = speaking(server, "de")
    juliet.send("<presence><status>da</status></presence>")

    assert ["de"] == languages(juliet, 1, "presence")


def test_requests_to_the_server_are_answered_all_the_same(server: Server) -> None:
    speaking(server, "de").round_trip()


def test_a_resumed_session_speaks_the_language_of_its_new_stream(server: Server) -> None:
    juliet, romeo = online(server, server.account()), Phone(server, server.account()).bind()
    juliet.cut()
    again = Phone(server, juliet.account, lang="fr")
    resumed: Element = again.resume(juliet.session_id, juliet.inbound)
    again.message(romeo.jid, "salut")

    assert resumed.tag.endswith("}resumed")
    assert ["fr"] == languages(romeo, 1)
