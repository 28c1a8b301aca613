"""What is archived (XEP-0313), and what an account wants archived (XEP-0441)."""

from __future__ import annotations

import pytest

from gateway.xmpp import ns
from tests.scenarios.archive_talk import a_juliet, a_romeo, bare, numbered, prefs, say
from tests.support.archive import MAM, ask
from tests.support.phone import Phone
from tests.support.processes import Server


@pytest.fixture
def romeo(server: Server) -> Phone:
    return a_romeo(server)


@pytest.fixture
def juliet(server: Server) -> Phone:
    return a_juliet(server)


HINT = f"xmlns='{ns.HINTS}'"


@pytest.mark.parametrize(
    ("attributes", "inner", "is_archived"),
    [
        ("type='chat'", "<body>x</body>", True),
        ("", "<body>x</body>", True),
        ("type='normal'", "<body>x</body>", True),
        ("type='whatever'", "<body>x</body>", True),
        ("type='headline'", "<body>x</body>", False),
        ("type='groupchat'", "<body>x</body>", False),
        ("type='chat'", f"<composing xmlns='{ns.CHATSTATES}'/>", False),
        ("type='chat'", f"<composing xmlns='{ns.CHATSTATES}'/><thread>t</thread>", False),
        ("type='chat'", f"<received xmlns='{ns.RECEIPTS}' id='1'/>", True),
        ("type='chat'", f"<request xmlns='{ns.RECEIPTS}'/>", False),
        ("type='chat'", f"<displayed xmlns='{ns.MARKERS}' id='1'/>", True),
        ("type='chat'", f"<encrypted xmlns='{ns.OMEMO_AXOLOTL}'/>", True),
        ("type='chat'", f"<encrypted xmlns='{ns.OMEMO_2}'/>", True),
        ("type='chat'", f"<openpgp xmlns='{ns.OPENPGP}'/>", True),
        ("type='chat'", f"<reactions xmlns='{ns.REACTIONS}' id='1'/>", True),
        ("type='chat'", f"<retract xmlns='{ns.RETRACTION}' id='1'/>", True),
        ("type='chat'", "<subject>x</subject>", True),
        ("type='chat'", f"<body>x</body><no-store {HINT}/>", False),
        ("type='chat'", f"<body>x</body><no-permanent-store {HINT}/>", False),
        ("type='chat'", f"<body>x</body><no-copy {HINT}/>", True),
        ("type='chat'", f"<propose xmlns='{ns.CALLS}' id='1'/>", False),
        ("type='chat'", f"<propose xmlns='{ns.CALLS}' id='1'/><store {HINT}/>", True),
    ],
)
def test_what_is_archived(romeo: Phone, juliet: Phone, attributes: str, inner: str, is_archived: bool) -> None:
    romeo.send(f"<message to='{juliet.jid}' {attributes}>{inner}</message>")
    romeo.handled()

    assert (is_archived, is_archived) == (len(ask(romeo).ids) == 1, len(ask(juliet).ids) == 1)


def test_errors_are_not_archived(romeo: Phone, juliet: Phone) -> None:
    romeo.send(f"<message to='{juliet.jid}' type='error'><body>x</body></message>")
    romeo.handled()

    assert ([], []) == (ask(romeo).ids, ask(juliet).ids)


def test_preferences_are_kept_and_told(juliet: Phone) -> None:
    before = prefs(juliet, iq_type="get").iq.find(f"{MAM}prefs")
    assert before is not None
    assert ("always", [f"{MAM}always", f"{MAM}never"]) == (before.get("default"), [one.tag for one in before])

    lists = "<always><jid>a@localhost</jid></always><never><jid>B@LOCALHOST/x</jid><jid>c.example</jid></never>"
    prefs(juliet, lists, default="roster")
    after = prefs(juliet, iq_type="get").iq.find(f"{MAM}prefs")

    assert after is not None
    assert "roster" == after.get("default")
    assert ["a@localhost"] == [one.text for one in after.findall(f"{MAM}always/{MAM}jid")]
    assert ["b@localhost/x", "c.example"] == [one.text for one in after.findall(f"{MAM}never/{MAM}jid")]


def test_what_one_party_does_not_want_is_in_the_others_archive_only(romeo: Phone, juliet: Phone) -> None:
    prefs(juliet, f"<never><jid>{bare(romeo)}</jid></never>", default="always")
    say(romeo, bare(juliet), 0, 2)

    assert ([], numbered(0, 2)) == (ask(juliet).bodies, ask(romeo).bodies)

    prefs(juliet, f"<always><jid>{romeo.jid}</jid></always>", default="never")
    say(romeo, bare(juliet), 2, 4)
    assert numbered(2, 4) == ask(juliet).bodies


def test_with_default_never_nothing_is_archived(romeo: Phone, juliet: Phone) -> None:
    prefs(juliet, default="never")
    say(romeo, bare(juliet), 0, 2)
    juliet.message(bare(romeo), "back")

    assert [] == ask(juliet).bodies


@pytest.mark.parametrize(
    ("inner", "default", "condition"),
    [
        ("", "", "bad-request"),
        ("", "sometimes", "bad-request"),
        ("<always><jid>@</jid></always>", "always", "jid-malformed"),
        ("<always><jid/></always>", "always", "jid-malformed"),
        ("<never/><never/>", "always", "bad-request"),
        ("<never>" + "".join(f"<jid>u{n}@x</jid>" for n in range(1001)) + "</never>", "always", "not-acceptable"),
    ],
)
def test_bad_preferences_change_nothing(juliet: Phone, inner: str, default: str, condition: str) -> None:
    prefs(juliet, default="roster")

    assert condition == prefs(juliet, inner, default=default).condition
    after = prefs(juliet, iq_type="get").iq.find(f"{MAM}prefs")
    assert after is not None
    assert "roster" == after.get("default")
