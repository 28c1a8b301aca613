"""What error a stanza comes back as, or that none does, when an external component had a part in it (XEP-0114)."""

from __future__ import annotations

import pytest

from gateway.mailbox import entry
from gateway.xmpp.stanza import peek
from workers.sweeper.bounces import Bounce, NotBounced, bounce_of

USER, COMPONENT = "juliet@localhost/balcony", "room@bridge.localhost/nick"


def the_bounce(stanza: str) -> Bounce:
    return bounce_of(stanza.encode(), ["localhost"], ["bridge.localhost"])


@pytest.mark.parametrize(
    ("stanza", "kind"),
    [
        ("<message type='groupchat' from='{}' to='{}'/>", entry.MESSAGE),
        ("<iq type='get' id='1' from='{}' to='{}'><q xmlns='u'/></iq>", entry.IQ_RESPONSE),
        ("<presence from='{}' to='{}'/>", entry.PRESENCE),
    ],
)
def test_what_a_component_did_not_take_comes_back_as_a_timeout(stanza: str, kind: str) -> None:
    bounce = the_bounce(stanza.format(USER, COMPONENT))

    assert (USER, COMPONENT, kind) == (str(bounce.to), bounce.sender, bounce.kind)
    assert b"<remote-server-timeout" in bounce.stanza
    assert "error" == peek(bounce.stanza).attrs["type"]


@pytest.mark.parametrize("sender", ["bridge.localhost", COMPONENT, "bridge.localhost/x"])
def test_a_component_gets_its_stanzas_back_at_any_of_its_addresses(sender: str) -> None:
    bounce = the_bounce(f"<message from='{sender}' to='{USER}'/>")

    assert sender == str(bounce.to)
    assert b"<service-unavailable" in bounce.stanza


@pytest.mark.parametrize(
    "stanza",
    [
        f"<message type='error' from='{USER}' to='{COMPONENT}'/>",
        f"<iq type='result' id='1' from='{USER}' to='{COMPONENT}'/>",
        f"<presence type='unavailable' from='{USER}' to='{COMPONENT}'/>",
        f"<presence type='probe' from='{USER}' to='{COMPONENT}'/>",
        f"<presence from='{COMPONENT}' to='{USER}'/>",
        f"<message from='a@elsewhere.example' to='{COMPONENT}'/>",
    ],
)
def test_what_wants_no_answer_gets_none(stanza: str) -> None:
    with pytest.raises(NotBounced):
        the_bounce(stanza)
