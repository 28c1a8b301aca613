"""XEP-0492: what an account wants of a chat, as it stands in the chat's bookmark."""

from __future__ import annotations

import pytest

from gateway.xmpp import ns
from gateway.xmpp.date_time import read_ms
from gateway.xmpp.notification_settings import ChatSettings, Setting, read

UNTIL = "2026-12-24T18:00:00Z"
UNTIL_MS = read_ms(UNTIL)[0]
PC, PHONE, CLIENT = ("identity-category='client' identity-type='" + type_ + "'" for type_ in ("pc", "phone", ""))
CLIENT = "identity-category='client'"


def a_bookmark(inner: str, nick: str = "") -> bytes:
    return (
        f"<item id='play@rooms.localhost'><conference xmlns='{ns.BOOKMARKS}'>{nick}<extensions>"
        f"<notify xmlns='{ns.NOTIFY}'>{inner}</notify></extensions></conference></item>"
    ).encode()


def until(moment: str) -> str:
    return f"<never><advanced><mute xmlns='{ns.NOTIFY_MUTE}' until='{moment}'/></advanced></never>"


WHEN = {
    "the most basic example": ("<never/>", "never"),
    "by mentions": ("<on-mention/>", "on-mention"),
    "always": ("<always/>", "always"),
    "the standard's example for identities": (
        f"<never {PC}/><on-mention {PHONE}/><on-mention identity-category='gateway'/><always/>",
        "on-mention",
    ),
    "the whole category": (f"<always/><never {PC}/><on-mention {CLIENT}/>", "on-mention"),
    "phones before the category": (f"<always {CLIENT}/><never {PHONE}/>", "never"),
    "other clients only": (f"<never {PC}/>", ""),
    "another category's phone": ("<never identity-category='gateway' identity-type='phone'/>", ""),
    "a type without a category": ("<never identity-type='phone'/>", ""),
    "two alike: the first": ("<on-mention/><never/>", "on-mention"),
    "an unknown element": ("<sometimes/>", ""),
    "something of another namespace": ("<never xmlns='urn:x'/>", ""),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("what", WHEN)
def test_the_most_specific_element_for_a_phone_holds(what: str) -> None:
    inner, expected = WHEN[what]

    assert expected == read(a_bookmark(inner)).when(0)


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<never/>", "never"),
        ("<always/><never client-type='phone'/>", "never"),
        ("<always client-type='pc'/><on-mention/>", "on-mention"),
        (f"<always/>{until(UNTIL)}", "never"),
    ],
)
def test_the_first_version_of_the_standard_is_read_too(inner: str, expected: str) -> None:
    assert expected == read(a_bookmark(inner).replace(ns.NOTIFY.encode(), ns.NOTIFY_0.encode())).when(0)


def test_the_newer_version_counts_where_both_are_there() -> None:
    older = f"</notify><notify xmlns='{ns.NOTIFY_0}'><never/>"

    assert "always" == read(a_bookmark(f"<always/>{older}")).when(0)


def test_another_identity_may_be_asked_for() -> None:
    bookmark = a_bookmark(f"<never {PC}/><on-mention {PHONE}/><always/>")

    assert "never" == read(bookmark, ("client", "pc")).when(0)
    assert "always" == read(bookmark, ("automation", "iot")).when(0)


def test_a_mute_ends_and_what_stands_beside_it_holds_afterwards() -> None:
    settings = read(a_bookmark(f"<on-mention/>{until(UNTIL)}"))

    assert (Setting("never", UNTIL_MS), Setting("on-mention")) == settings.settings
    assert ("never", "on-mention") == (settings.when(UNTIL_MS - 1), settings.when(UNTIL_MS))


def test_a_mute_that_nothing_stands_beside_ends_in_nothing_said() -> None:
    assert "" == read(a_bookmark(until(UNTIL))).when(UNTIL_MS)


@pytest.mark.parametrize("moment", ["", "tomorrow", "2026-12-24", "2026-13-24T18:00:00Z"])
def test_a_mute_until_nobody_knows_when_does_not_end(moment: str) -> None:
    assert "never" == read(a_bookmark(until(moment))).when(UNTIL_MS * 10)


def test_a_mute_that_ended_before_1970_has_ended() -> None:
    assert "" == read(a_bookmark(until("1960-01-01T00:00:00Z"))).when(UNTIL_MS)


def test_an_end_is_read_of_never_alone() -> None:
    inner = until(UNTIL).replace("never", "always")

    assert (Setting("always"),) == read(a_bookmark(inner)).settings


@pytest.mark.parametrize(
    ("nick", "expected"),
    [("", ""), ("<nick>J &amp; J</nick>", "J & J"), ("<nick/>", ""), ("<nick a='b'>J</nick>", "J"),
     ("<nick xmlns='urn:x'>J</nick>", "")],
)  # fmt: skip
def test_the_nickname_is_read_too(nick: str, expected: str) -> None:
    assert expected == read(a_bookmark("<always/>", nick)).nick


def test_prefixes_and_a_payload_alone_are_read_as_well() -> None:
    bookmark = (
        f"<b:conference xmlns:b='{ns.BOOKMARKS}'><b:extensions><n:notify xmlns:n='{ns.NOTIFY}'><n:never/></n:notify>"
        "</b:extensions></b:conference>"
    )

    assert "never" == read(bookmark.encode()).when(0)


@pytest.mark.parametrize("item", [b"", b"<item", b"<item/>", b"<item><x/></item>", b"<item>text</item>", b"\xff"])
def test_what_is_no_bookmark_says_nothing(item: bytes) -> None:
    assert ChatSettings() == read(item)


def test_a_bookmark_that_says_nothing_of_notifications_wants_nothing() -> None:
    plain = (
        f"<item id='play@rooms.localhost'><conference xmlns='{ns.BOOKMARKS}'><nick>Juliet</nick></conference></item>"
    )

    assert ChatSettings((), "Juliet") == read(plain.encode())


@pytest.mark.parametrize(
    "advanced",
    ["<advanced/>", "<advanced><weather xmlns='urn:x'>raining</weather></advanced>", "<advanced/><advanced/>"],
)
def test_what_others_add_to_a_setting_does_not_end_it(advanced: str) -> None:
    assert "never" == read(a_bookmark(f"<never>{advanced}</never>")).when(2**52)
