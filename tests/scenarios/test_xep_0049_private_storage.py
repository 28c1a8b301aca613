"""XEP-0049 on the wire: what is kept comes back as it was, to its owner, and not without bounds."""

import pytest

from gateway.mailbox.vault import StorageSettings
from gateway.xmpp import ns
from tests.support.iq import answer_to, ask, error_of, refusal, result
from tests.support.phone import Phone
from tests.support.processes import DOMAIN, Server

NOTES = (
    "<storage xmlns='storage:rosternotes'><note jid='a@b' cdate='x'>Gr&#252;&#xdf;e &amp; &lt;b/&gt;</note></storage>"
)


def on(server: Server) -> Phone:
    return Phone(server, server.account()).bind()


def keep(phone: Phone, *elements: str) -> str:
    """The condition of a refusal, "" if they were kept."""
    return error_of(ask(phone, query(*elements), type="set"))


def query(*elements: str) -> str:
    return f"<query xmlns='{ns.PRIVATE}'>{''.join(elements)}</query>"


def test_an_element_comes_back_on_every_device(server: Server) -> None:
    phone = on(server)
    refused = keep(phone, NOTES)
    tablet = Phone(server, phone.account).bind("tablet")

    (storage,) = result(tablet, query("<storage xmlns='storage:rosternotes'/>"))

    assert "" == refused
    assert "{storage:rosternotes}storage" == storage.tag
    assert "Grüße & <b/>" == storage[0].text
    assert "a@b" == storage[0].get("jid")


def test_what_was_never_kept_is_empty(server: Server) -> None:
    (found,) = result(on(server), query("<exodus xmlns='exodus:prefs'/>"))

    assert "{exodus:prefs}exodus" == found.tag
    assert 0 == len(found)


def test_prefixes_and_default_namespaces_mean_the_same_when_they_come_back(server: Server) -> None:
    phone = on(server)
    written = (
        f"<iq type='set' id='%s' xmlns:o='urn:outer'><q:query xmlns:q='{ns.PRIVATE}' xmlns:i='urn:inner'>"
        "<i:a o:x='1'><b/><o:c/></i:a></q:query></iq>"
    )
    assert "result" == answer_to(phone, written).get("type")

    (found,) = result(phone, query("<a xmlns='urn:inner'/>"))

    assert "{urn:inner}a" == found.tag
    assert {"{urn:outer}x": "1"} == found.attrib
    assert ["{jabber:client}b", "{urn:outer}c"] == [child.tag for child in found]


def test_an_element_replaces_its_former_and_leaves_others(server: Server) -> None:
    phone = on(server)
    for element in ("<a xmlns='urn:a'>one</a>", "<a xmlns='urn:a'>two</a>", "<b xmlns='urn:a'>other</b>"):
        keep(phone, element)

    assert "two" == result(phone, query("<a xmlns='urn:a'/>"))[0].text
    assert "other" == result(phone, query("<b xmlns='urn:a'/>"))[0].text


def test_an_empty_element_takes_away_what_was_kept(server: Server) -> None:
    phone = on(server)
    for element in ("<a xmlns='urn:a'>x</a>", "<a xmlns='urn:a'/>"):
        keep(phone, element)

    found = result(phone, query("<a xmlns='urn:a'/>"))[0]

    assert (None, 0) == (found.text, len(found))


BAD = {
    "nothing to keep": ("set", query(), "not-acceptable"),
    "nothing asked for": ("get", query(), "bad-request"),
    "two things asked for": ("get", query("<a xmlns='urn:a'/>", "<b xmlns='urn:b'/>"), "bad-request"),
    "no namespace": ("set", query("<a xmlns=''>x</a>"), "not-acceptable"),
    "its own namespace": ("set", query("<a>x</a>"), "not-acceptable"),
    "a reserved namespace": ("set", query(f"<vCard xmlns='{ns.VCARD}'><FN>x</FN></vCard>"), "not-acceptable"),
    "another one": ("get", query(f"<query xmlns='{ns.ROSTER}'/>"), "not-acceptable"),
    "a stanza's namespace": ("set", query("<a xmlns='jabber:client'/>"), "not-acceptable"),
    "text": ("set", query("text", "<a xmlns='urn:a'/>"), "bad-request"),
    "a good one and a reserved one": (
        "set",
        query("<a xmlns='urn:a'>x</a>", f"<query xmlns='{ns.ROSTER}'/>"),
        "not-acceptable",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_refused_and_change_nothing(server: Server, case: str) -> None:
    type_, payload, condition = BAD[case]
    phone = on(server)
    keep(phone, "<a xmlns='urn:a'>kept</a>")

    assert condition == refusal(phone, payload, type=type_)
    assert "kept" == result(phone, query("<a xmlns='urn:a'/>"))[0].text


def test_nobody_reads_or_writes_what_is_another_s(server: Server) -> None:
    juliet, romeo = on(server), on(server)
    keep(juliet, "<a xmlns='urn:a'>juliet's</a>")

    for to in (juliet.account.jid, f"nobody@{DOMAIN}", DOMAIN, f"push.{DOMAIN}"):
        assert "service-unavailable" == refusal(romeo, query("<a xmlns='urn:a'/>"), to=to)
        assert "service-unavailable" == refusal(romeo, query("<a xmlns='urn:a'>romeo's</a>"), to=to, type="set")
    assert "juliet's" == result(juliet, query("<a xmlns='urn:a'/>"))[0].text


def test_an_account_keeps_so_much_and_not_more(server: Server) -> None:
    phone = on(server)
    half = "x" * (StorageSettings().private_xml_bytes // 2)

    assert "" == keep(phone, f"<a xmlns='urn:a'>{half}</a>")
    assert "resource-constraint" == keep(phone, f"<b xmlns='urn:b'>{half}</b>")
    assert None is result(phone, query("<b xmlns='urn:b'/>"))[0].text
