"""For which messages a device wants to be woken: a row for each rule."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from gateway.mailbox.pushes import Filters
from gateway.xmpp.notification_settings import ChatSettings, Setting
from workers.push.chat_rules import (
    MUTED,
    NO_MENTION,
    OWN,
    UNKNOWN_SENDER,
    is_mentioned,
    read_rules,
    verdict,
    wants_everything,
)
from workers.push.summary import Summary, summary

USER, FRIEND, ROOM = "juliet@localhost", "romeo@localhost", "play@rooms.localhost"
NOW_MS = 1_800_000_000_000


def direct(body: str = "hi", sender: str = f"{FRIEND}/orchard") -> Summary:
    return summary(f"<message from='{sender}' type='chat'><body>{body}</body></message>".encode())


def in_room(body: str = "hi", more: str = "") -> Summary:
    return summary(f"<message from='{ROOM}/nurse' type='groupchat'><body>{body}</body>{more}</message>".encode())


def call(sender: str) -> Summary:
    return summary(f"<message from='{sender}'><propose xmlns='urn:xmpp:jingle-message:0' id='c'/></message>".encode())


def mention(uri: str, type_: str = "mention") -> str:
    return f"<reference xmlns='urn:xmpp:reference:0' type='{type_}' uri='{uri}'/>"


def answer_to(whom: str) -> str:
    return f"<reply xmlns='urn:xmpp:reply:0' id='1' to='{whom}'/>"


@dataclass(frozen=True)
class Row:
    message: Summary
    expected: str = ""
    filters: Filters | None = None
    wanted: dict[str, str] = field(default_factory=dict)
    """chat -> always, on-mention or never"""
    subscription: str = "both"
    nick: str = ""
    until_ms: int = 0


ROWS = {
    "a direct message": Row(direct()),
    "a message in a room of which nothing is said": Row(in_room()),
    # what the device filters
    "a muted contact": Row(direct(), MUTED, Filters(muted=("nurse@localhost", FRIEND))),
    "another contact is muted": Row(direct(), "", Filters(muted=("nurse@localhost",))),
    "a muted room": Row(in_room("Juliet!"), MUTED, Filters(muted=(ROOM,))),
    "a muted contact calls": Row(call(f"{FRIEND}/x"), MUTED, Filters(muted=(FRIEND,))),
    "a stranger": Row(direct(), UNKNOWN_SENDER, Filters(ignore_unknown=True), subscription="none"),
    "a stranger calls": Row(call(f"{FRIEND}/x"), UNKNOWN_SENDER, Filters(ignore_unknown=True), subscription="none"),
    "a stranger, and strangers are welcome": Row(direct(), "", Filters(muted=("x@y",)), subscription="none"),
    "a contact who sees us": Row(direct(), "", Filters(ignore_unknown=True), subscription="from"),
    "a contact whom we see": Row(direct(), "", Filters(ignore_unknown=True), subscription="to"),
    "a room is no stranger": Row(in_room(), "", Filters(ignore_unknown=True), subscription="none"),
    "the account itself": Row(direct(sender=f"{USER}/pc"), "", Filters(ignore_unknown=True), subscription="none"),
    "the server": Row(direct(sender="localhost"), "", Filters(ignore_unknown=True), subscription="none"),
    "another server": Row(
        direct(sender="x.example"), UNKNOWN_SENDER, Filters(ignore_unknown=True), subscription="none"
    ),
    "somebody in a bookmarked room, in private": Row(
        direct(sender=f"{ROOM}/nurse"), "", Filters(ignore_unknown=True), {ROOM: "always"}, subscription="none"
    ),
    "a room that always wakes": Row(in_room(), "", Filters(rooms={"": "mentioned", ROOM: "always"})),
    "a room that never wakes": Row(in_room("Juliet!"), MUTED, Filters(rooms={ROOM: "never"})),
    "what the user said in a room, as it comes back": Row(in_room(), OWN, wanted={ROOM: "always"}, nick="nurse"),
    "a room that wakes by mentions": Row(in_room(), NO_MENTION, Filters(rooms={ROOM: "mentioned:Juliet"})),
    "such a room, and a mention": Row(in_room("hi Juliet!"), "", Filters(rooms={ROOM: "mentioned:Juliet"})),
    "a room that is not named": Row(in_room(), NO_MENTION, Filters(rooms={"": "mentioned"})),
    "a room that is not named, and a mention": Row(in_room("hi juliet"), "", Filters(rooms={"": "mentioned"})),
    "a room that is not named here but by the account": Row(
        in_room(), "", Filters(rooms={"": "mentioned"}), {ROOM: "always"}
    ),
    "rooms are filtered, contacts are not": Row(direct(), "", Filters(rooms={"": "mentioned"})),
    "a nickname of a room has a colon": Row(in_room("a:b?"), "", Filters(rooms={ROOM: "mentioned:a:b"})),
    # what the account wants
    "a room is to be silent": Row(in_room("Juliet!"), MUTED, wanted={ROOM: "never"}),
    "a contact is to be silent": Row(direct(), MUTED, wanted={FRIEND: "never"}),
    "somebody else is to be silent": Row(direct(), "", wanted={"nurse@localhost": "never"}),
    "silent until later": Row(direct(), MUTED, wanted={FRIEND: "never"}, until_ms=NOW_MS + 1),
    "silent until now": Row(direct(), "", wanted={FRIEND: "never"}, until_ms=NOW_MS),
    "a room, by mentions": Row(in_room(), NO_MENTION, wanted={ROOM: "on-mention"}),
    "a room, by mentions, and one": Row(in_room("Juliet?"), "", wanted={ROOM: "on-mention"}),
    "a room, by mentions of the nickname there": Row(in_room("Juli?"), "", wanted={ROOM: "on-mention"}, nick="Juli"),
    "a room, by mentions, and not of that one": Row(
        in_room("juliet?"), NO_MENTION, wanted={ROOM: "on-mention"}, nick="Juli"
    ),
    "a contact, by mentions: all is said to us": Row(direct(), "", wanted={FRIEND: "on-mention"}),
    "in private, in a room by mentions": Row(direct(sender=f"{ROOM}/nurse"), "", wanted={ROOM: "on-mention"}),
    "the device wants all, the account mentions": Row(
        in_room(), NO_MENTION, Filters(rooms={ROOM: "always"}), {ROOM: "on-mention"}
    ),
    "the account wants all, the device mentions": Row(
        in_room(), NO_MENTION, Filters(rooms={ROOM: "mentioned:Juliet"}), {ROOM: "always"}
    ),
    "either nickname counts": Row(
        in_room("Juli"), "", Filters(rooms={ROOM: "mentioned:Montague"}), {ROOM: "on-mention"}, nick="Juli"
    ),
    "what cannot be read": Row(Summary(), "", Filters(muted=("x@y",)), {ROOM: "never"}),
}


@pytest.mark.parametrize("what", ROWS)
def test_whether_a_message_is_worth_waking_the_device(what: str) -> None:
    row = ROWS[what]
    rules = {chat: ChatSettings((Setting(when, row.until_ms),), row.nick) for chat, when in row.wanted.items()}

    assert row.expected == verdict(
        row.message, row.subscription, filters=row.filters, rules=rules, user=USER, now_ms=NOW_MS
    )


MENTIONS = {
    "nothing": (in_room("hi"), False),
    "no body": (summary(f"<message from='{ROOM}/n' type='groupchat'/>".encode()), False),
    "the name as a word": (in_room("well, Juliet: come"), True),
    "in capitals": (in_room("JULIET"), True),
    "with an at sign": (in_room("@juliet"), True),
    "as a part of a word": (in_room("juliets"), False),
    "behind a letter": (in_room("xjuliet"), False),
    "a reference to the account": (in_room("hi", mention("xmpp:juliet@localhost")), True),
    "a reference to one of its devices": (in_room("hi", mention("xmpp:juliet@localhost/phone")), True),
    "a reference to the nickname": (in_room("hi", mention(f"xmpp:{ROOM}/Juliet")), True),
    "an escaped reference": (in_room("hi", mention("XMPP:%6Auliet@localhost?message")), True),
    "a reference with an authority": (in_room("hi", mention("xmpp://a@b/juliet@localhost")), True),
    "a reference to somebody else": (in_room("hi", mention("xmpp:nurse@localhost")), False),
    "a reference to somebody of a longer name": (in_room("hi", mention("xmpp:juliet@localhost.example")), False),
    "a reference to the room": (in_room("hi", mention(f"xmpp:{ROOM}")), False),
    "a reference of another type": (in_room("hi", mention("xmpp:juliet@localhost", "data")), False),
    "a reference to a web page": (in_room("hi", mention("https://juliet@localhost")), False),
    "two references": (in_room("hi", mention("xmpp:a@b") + mention("xmpp:juliet@localhost")), True),
    "an answer to the account": (in_room("hi", answer_to(f"{ROOM}/Juliet")), True),
    "an answer to its real address": (in_room("hi", answer_to("juliet@localhost/phone")), True),
    "an answer to somebody else": (in_room("hi", answer_to(f"{ROOM}/Nurse")), False),
    "an answer to nobody": (in_room("hi", "<reply xmlns='urn:xmpp:reply:0' id='1'/>"), False),
    "something else of that name": (in_room("hi", "<reply xmlns='urn:x' to='juliet@localhost'/>"), False),
}


@pytest.mark.parametrize("what", MENTIONS)
def test_what_mentions_the_account(what: str) -> None:
    message, is_meant = MENTIONS[what]

    assert is_meant == is_mentioned(message, USER, {"Juliet"})


@pytest.mark.parametrize("nick", ["J.", "(j)", "[", "\\", "j*", "Ünal", "朱丽叶", "j j"])
def test_any_nickname_is_found_and_none_is_a_pattern(nick: str) -> None:
    assert is_mentioned(Summary(body=f"hi {nick.upper()}, you"), USER, {nick})
    assert not is_mentioned(Summary(body="hi jay, jjj"), USER, {nick})


def test_rules_are_read_from_bookmarks() -> None:
    bookmark = (
        b"<item id='a@b'><conference xmlns='urn:xmpp:bookmarks:1'><nick>J</nick><extensions>"
        b"<notify xmlns='urn:xmpp:notification-settings:1'><never/></notify></extensions></conference></item>"
    )

    assert {"a@b": ChatSettings((Setting("never"),), "J"), "c@d": ChatSettings()} == read_rules(
        {"a@b": bookmark, "c@d": b"<item/>"}
    )


def test_nothing_has_to_be_read_for_who_wants_everything() -> None:
    assert wants_everything(None, {})
    assert not wants_everything(Filters(ignore_unknown=True), {})
    assert not wants_everything(None, {"a@b": b""})
