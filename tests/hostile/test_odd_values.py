"""Every attribute and text that the server reads, with values that nobody would send in good faith."""

from contextlib import suppress
from itertools import product
from xml.sax.saxutils import quoteattr

import pytest

from gateway.demo.stream import ServerSilent, StreamEnded
from gateway.xmpp import ns
from tests.support.phone import Phone, sm, stanza
from tests.support.pieces import Pieces

ODD = (
    "",
    " ",
    "-1",
    "0",
    "1e9",
    "4294967296",
    "99999999999999999999999999",
    "\u0661\uff12",
    "true",
    "null",
    "<x>&'\"",
    "a\nb\tc",
    "%s{0}../..",
    "@",
    "/",
    "a@b@c/d",
    "x" * 3000,
    "\U0001f600\ud7ff\ufffd",
    "localhost",
    "nobody@localhost/x",
)

PING = f"<ping xmlns='{ns.PING}'/>"
DISCO = f"<query xmlns='{ns.DISCO_INFO}'/>"

BOUND = {
    "iq type": f"<iq type=%s id='o' to='localhost'>{PING}</iq>",
    "iq id": f"<iq type='get' id=%s to='localhost'>{PING}</iq>",
    "iq to": f"<iq type='get' id='o' to=%s>{PING}</iq>",
    "iq lang": f"<iq type='get' id='o' xml:lang=%s>{PING}</iq>",
    "iq result to": "<iq type='result' id='o' to=%s/>",
    "iq payload namespace": "<iq type='set' id='o'><query xmlns=%s/></iq>",
    "disco node": f"<iq type='get' id='o' to='localhost'><query xmlns='{ns.DISCO_INFO}' node=%s/></iq>",
    "disco items node": f"<iq type='get' id='o' to='localhost'><query xmlns='{ns.DISCO_ITEMS}' node=%s/></iq>",
    "disco to": f"<iq type='get' id='o' to=%s>{DISCO}</iq>",
    "message type": "<message to='nobody@localhost' type=%s id='o'><body>x</body></message>",
    "message id": "<message to='nobody@localhost' type='chat' id=%s><body>x</body></message>",
    "message to": "<message to=%s type='chat' id='o'><body>x</body></message>",
    "message delay": f"<message><body>x</body><delay xmlns='{ns.DELAY}' from=%s stamp=%s/></message>",
    "presence type": "<presence type=%s/>",
    "presence to": "<presence to=%s/>",
    "presence priority": "<presence><priority xml:lang=%s>1</priority></presence>",
    "enable resume": f"<enable xmlns='{ns.SM}' resume=%s/>",
    "enable max": f"<enable xmlns='{ns.SM}' resume='true' max=%s/>",
    "push jid": f"<iq type='set' id='o'><enable xmlns='{ns.PUSH}' jid=%s node='n'/></iq>",
    "push node": f"<iq type='set' id='o'><disable xmlns='{ns.PUSH}' jid='push.localhost' node=%s/></iq>",
    "push form type": f"<iq type='set' id='o'><enable xmlns='{ns.PUSH}' jid='push.localhost'>"
    f"<x xmlns='{ns.DATA_FORMS}' type=%s><field var=%s><value/></field></x></enable></iq>",
}

TEXTS = {
    "priority": "<presence><priority>%s</priority></presence>",
    "two priorities": "<presence><priority>%s</priority><priority>%s</priority></presence>",
    "priority with an element": "<presence><priority>%s<x/></priority></presence>",
    "body": "<message><body>%s</body></message>",
    "ping": f"<iq type='get' id='o'><ping xmlns='{ns.PING}'>%s</ping></iq>",
    "disco": f"<iq type='get' id='o' to='localhost'><query xmlns='{ns.DISCO_INFO}'>%s</query></iq>",
    "push": f"<iq type='set' id='o'><enable xmlns='{ns.PUSH}' jid='push.localhost'>%s</enable></iq>",
}


class Prober:
    """A client that logs in anew whenever a value has ended its stream."""

    def __init__(self, house: Pieces) -> None:
        self._house = house
        self._account = house.account()
        self._phone: Phone | None = None

    def send(self, data: str) -> None:
        """Sends, and waits until the server has answered what comes behind it or has ended the stream."""
        phone = self._phone = self._phone or Phone(self._house, self._account).bind("odd")
        phone.stream.timeout_s = 10
        try:
            phone.send(data + f"<iq type='get' id='fence' to='localhost'>{PING}</iq>")
            while phone.next().get("id") != "fence":
                continue
        except StreamEnded:
            phone.cut()
            self._phone = None


@pytest.mark.parametrize("what", BOUND)
def test_an_odd_attribute_is_answered_or_ends_the_stream(house: Pieces, what: str) -> None:
    prober, pattern = Prober(house), BOUND[what]

    for value in ODD:
        prober.send(pattern.replace("%s", quoteattr(value)))

    assert [] == house.faults()


@pytest.mark.parametrize("what", TEXTS)
def test_an_odd_text_is_answered_or_ends_the_stream(house: Pieces, what: str) -> None:
    prober, pattern = Prober(house), TEXTS[what]

    for value in ODD:
        prober.send(pattern.replace("%s", value.replace("&", "&amp;").replace("<", "&lt;")))

    assert [] == house.faults()


def test_odd_values_in_stream_management_are_answered_or_end_the_stream(house: Pieces) -> None:
    account = house.account()
    phone: Phone | None = None

    for name, value in product(("a", "r", "enable", "resume", "unknown"), ODD):
        if phone is None:
            phone = Phone(house, account).bind("odd")
            phone.enable()
        phone.send(f"<{name} xmlns='{ns.SM}' h={quoteattr(value)} previd={quoteattr(value)} max={quoteattr(value)}/>")
        phone.send(f"<iq type='get' id='fence'>{PING}</iq>")
        try:
            while phone.next().get("id") != "fence":
                continue
        except StreamEnded:
            phone.cut()
            phone = None

    assert [] == house.faults()


def test_odd_values_in_a_resumption_are_answered_or_end_the_stream(house: Pieces) -> None:
    account = house.account()

    for name, value in product(("h", "previd"), ODD[:12]):
        attributes = {"h": "'0'", "previd": "'x'", name: quoteattr(value)}
        phone = Phone(house, account)
        phone.send(f"<resume xmlns='{ns.SM}' h={attributes['h']} previd={attributes['previd']}/>")
        with suppress(StreamEnded, ServerSilent):
            assert phone.next().tag in (sm("failed"), "{http://etherx.jabber.org/streams}error")
        phone.cut()

    assert [] == house.faults()


def test_odd_values_reach_the_other_side_as_they_were_sent(house: Pieces) -> None:
    juliet = Phone(house, house.account()).bind("j").available()
    romeo = Phone(house, house.account()).bind("r").available()

    for value in ODD:
        romeo.send(f"<message to='{juliet.jid}' type='chat' id={quoteattr(value)}><body>x</body></message>")
    ids = [juliet.skip_to(stanza("message"), stanza("presence")).get("id") for _ in ODD]

    assert list(ODD) == ids
