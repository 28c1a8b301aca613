"""What a message says about conversations that were seen, and about calls that are over: its flags in the mailbox."""

import pytest

from gateway.composition import Features
from gateway.configuration import read
from gateway.features import FEATURES, unread
from gateway.hooks import StanzaTraits
from gateway.router import flags_of
from gateway.xmpp import ns
from gateway.xmpp.stanza import peek

MARKER = f"<displayed xmlns='{ns.MARKERS}' id='m'/>"
CORRECTION = f"<body>x</body><replace xmlns='{ns.CORRECTION}' id='m'/>"


def flags(type_: str, inner: str, features: Features | None = None) -> set[str]:
    """Of what is looked at here."""
    stanza = peek(f"<message type='{type_}'>{inner}</message>".encode())
    return {*"vox"} & set(flags_of((features or Features(FEATURES)).fire(StanzaTraits(stanza, read()))))


@pytest.mark.parametrize(
    ("type_", "inner", "expected"),
    [
        ("chat", "<body>x</body>", ""),
        ("chat", MARKER, "v"),
        ("groupchat", MARKER, "v"),
        ("error", MARKER, ""),
        ("chat", f"<received xmlns='{ns.MARKERS}' id='m'/>", ""),
        ("chat", f"<markable xmlns='{ns.MARKERS}'/><body>x</body>", ""),
        ("chat", f"<displayed xmlns='{ns.DISPLAYED}'/>", ""),
        ("chat", f"<sent xmlns='{ns.CARBONS}'>{MARKER}</sent>", ""),
        ("chat", CORRECTION, "o"),
        ("groupchat", "<body>x</body>", ""),
        ("groupchat", f"<body>x</body><delay xmlns='{ns.DELAY}' stamp='2026-01-01T00:00:00Z'/>", "o"),
        ("chat", f"<body>x</body><delay xmlns='{ns.DELAY}' stamp='2026-01-01T00:00:00Z'/>", ""),
        *(("chat", f"<{verb} xmlns='{ns.CALLS}' id='c'/>", "") for verb in ("propose", "ringing")),
        *(
            ("chat", f"<{verb} xmlns='{ns.CALLS}' id='c'/>", "x")
            for verb in ("retract", "proceed", "accept", "reject", "finish")
        ),
        ("error", f"<retract xmlns='{ns.CALLS}' id='c'/>", ""),
        ("chat", f"<retract xmlns='{ns.RETRACTION}' id='c'/>", ""),
    ],
)
def test_flags_follow_from_the_stanza_alone(type_: str, inner: str, expected: str) -> None:
    assert set(expected) == flags(type_, inner)


def test_while_it_is_off_nothing_is_counted_since_nothing_would_ever_be_found_read() -> None:
    others = tuple(feature for feature in FEATURES if feature is not unread.FEATURE)
    without = Features(others, (unread.FEATURE,))

    assert [{"o"}, {"o"}] == [flags("chat", inner, without) for inner in ("<body>x</body>", MARKER)]
