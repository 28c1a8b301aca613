"""What a message's payloads say about it: worth storing, worth waking for, urgent."""

import pytest

from gateway.composition import Features
from gateway.configuration import read
from gateway.features import FEATURES
from gateway.hooks import StanzaTraits
from gateway.xmpp import ns
from gateway.xmpp.stanza import peek

BODY = "<body>hello</body>"

# payloads, type -> store, wakes, urgent
TRAITS = {
    "a body": ("chat", BODY, (True, True, False)),
    "no type": ("", BODY, (True, True, False)),
    "groupchat": ("groupchat", BODY, (False, True, False)),
    "headline": ("headline", BODY, (False, False, False)),
    "error": ("error", BODY, (False, False, False)),
    "a chat state": ("chat", f"<active xmlns='{ns.CHATSTATES}'/>", (False, False, False)),
    "encrypted without a body": ("chat", f"<encrypted xmlns='{next(iter(ns.OMEMO))}'/>", (True, True, False)),
    "a call": ("chat", f"<propose xmlns='{ns.CALLS}' id='c'/>", (True, True, True)),
    "the end of a call": ("chat", f"<retract xmlns='{ns.CALLS}' id='c'/>", (True, False, False)),
    "an own carbon": ("chat", f"<sent xmlns='{ns.CARBONS}'/>{BODY}", (True, False, False)),
    "a body not to be stored": ("chat", f"{BODY}<no-store xmlns='{ns.HINTS}'/>", (False, True, False)),
    "a body in another namespace": ("chat", "<body xmlns='urn:example'>x</body>", (True, False, False)),
    "nothing": ("chat", "", (False, False, False)),
}


@pytest.mark.parametrize("what", TRAITS)
def test_traits_follow_from_the_stanza_alone(what: str) -> None:
    type_, inner, expected = TRAITS[what]
    attribute = f" type='{type_}'" if type_ else ""
    stanza = peek(f"<message{attribute}>{inner}</message>".encode())

    found = Features(FEATURES).fire(StanzaTraits(stanza, read()))

    assert expected == (found.store, found.wakes, found.urgent)
