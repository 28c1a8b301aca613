"""How each operation is called, and what the second call with the same arguments may do and has to answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.mailbox import keys
from tests.mailbox.eventing import TUNE
from tests.mailbox.full_mailbox import BRIDGE, LIMITS, Scene
from tests.mailbox.people import ROMEO
from tests.mailbox.world import JULIET, a_message

PHONE = f"{JULIET}/phone"
ORCHARD = f"{ROMEO}/orchard"


@dataclass(frozen=True)
class Row:
    """How an operation is called, and what the second time may do."""

    arguments: Callable[[Scene], tuple[Any, ...]]
    differs: str = ""
    """a regular expression of 'key field' that may differ"""
    why: str = ""
    second: Any = "the same"
    """the answer to the second call; a callable is asked"""
    at: str = ""
    sender_at: str = ""
    changes: bool = True
    """the first call changes something, or the row would prove nothing"""


ROWS: dict[str, Row] = {}
DOUBLED = r" (tail|serial)$|:q:\S+ \d+$"


def put_twice(reason: str) -> dict[str, str]:
    """Positions and entries may be there twice: what they say is the same, and a client that hears it twice knows no
    more than before."""
    return {"differs": DOUBLED, "why": reason}


def row(operation: str, arguments: Callable[[Scene], tuple[Any, ...]], **options: Any) -> None:
    assert operation not in ROWS
    ROWS[operation] = Row(arguments, **options)


def read(operation: str, arguments: Callable[[Scene], tuple[Any, ...]], **options: Any) -> None:
    row(operation, arguments, changes=False, **options)


def is_ok(answer: Any) -> bool:
    return bool((answer[0] if isinstance(answer, list) else answer) == b"ok")


# Sessions

row("carbons", lambda s: (*s.grip, "0"))
row("rest", lambda s: (*s.grip, "1", *LIMITS))
row("overdue", lambda s: (*s.grip, "1", *LIMITS))
row("direct", lambda s: (*s.grip, "friar@localhost", "1"))
row("expire", lambda s: (_overdue(s), "if_offline", *LIMITS, 10), second=[b"kept"])
row("finish", lambda s: (s.asleep(), "if_offline", *LIMITS), second=[b"done"], changes=False)
row("last_call", lambda s: (_called(s),), second=b"kept")
row("fade", lambda s: (s.asleep(),), changes=False)
row("faded", lambda s: (s.asleep(), s.phone.grip.epoch, "<presence><show>away</show></presence>"), second=b"kept")
row("evict", lambda s: (JULIET, "", "if_offline", *LIMITS, 10, ""), second=[b"ok", [], []])
row("logged_in", lambda s: (JULIET,), differs=r" last_login$", why="the time of the later one")
row("reap", lambda s: ("n1", 100, 60_000, *LIMITS, 10, "if_offline", 0), second=[b"done", 0])
row("posted", lambda s: (_posted(s),), second=0)
row("chores", lambda s: (100,), changes=False)
row("displayed", lambda s: (_unread(s), ORCHARD, "", "r1"))
read("unread", lambda s: (_unread(s),))


def _unread(s: Scene) -> str:
    s.phone.register()
    s.world.deliver(a_message("x"), sender=ORCHARD)
    return JULIET


def _overdue(s: Scene) -> str:
    sid = s.asleep()
    s.world.redis.hset(keys.key(s.phone.grip.at, "session", sid), "deadline", 1)
    return sid


def _called(s: Scene) -> str:
    s.phone.register()
    s.world.deliver(a_message("x"), to="phone")
    return s.asleep()


def _posted(s: Scene) -> str:
    name: bytes = s.world.redis.xadd(keys.key(s.world.at, "outbox"), {"do": "bounce", "user": JULIET, "stanza": "x"})  # type: ignore[assignment]
    return name.decode()


# Presence

PRESENCE_TWICE = "presence says what is so now: the newer of two equal ones tells nothing"
row("meet", lambda s: (JULIET, ORCHARD, ROMEO, f"<presence from='{ORCHARD}' to='{JULIET}'/>", "1", "", "", *LIMITS),
    **put_twice(PRESENCE_TWICE), second=lambda first, second: first[2:] == second[2:] and is_ok(second))  # fmt: skip
row("meet_all", lambda s: (*s.grip, ORCHARD, ROMEO, f"<presence from='{ORCHARD}'/>", "", *LIMITS, JULIET, "ta"),
    sender_at=keys.prefix(JULIET), **put_twice(PRESENCE_TWICE),
    second=lambda first, second: (second[0], second[2]) == ([2], first[2]) and first[4] == second[4])  # fmt: skip
row("meet_some", lambda s: (ORCHARD, ROMEO, f"<presence from='{ORCHARD}'/>", "", *LIMITS, JULIET, "ta"),
    **put_twice(PRESENCE_TWICE), second=lambda first, second: first[2:] == second[2:] and [2] == second[0])  # fmt: skip
row("receive", lambda s: (*s.grip, *LIMITS, "p", ORCHARD, f"<presence from='{ORCHARD}'/>"),
    **put_twice(PRESENCE_TWICE),
    second=lambda first, second: second[0] == first[0] + 1 and len(second[1]) == 1)  # fmt: skip
read("shown", lambda s: (JULIET, ROMEO, "0"))
read("audience", lambda s: (JULIET, s.phone.sid, "phone", PHONE))
read("farewells", lambda s: (JULIET, 100))
read("seen", lambda s: (JULIET, ORCHARD))
read("last_activity", lambda s: (JULIET, ORCHARD))
read("avatar_told", lambda s: (JULIET,))


def _new_words(s: Scene) -> tuple[Any, ...]:
    return s.phone.sid, s.phone.marks()["presence"], "<presence><x/></presence>", ""


row("avatar_tell", _new_words)

# Rosters and subscriptions

NEW_VERSION = r"|roster:\S+ |roster_version$"
row("roster_set", lambda s: (JULIET, "nurse@localhost", " name='N'", "[]", "", 100, *LIMITS),
    differs=DOUBLED + NEW_VERSION, why="a push and a version more, of an item that is the same",
    second=lambda first, second: is_ok(second) and len(first) == len(second))  # fmt: skip
row("roster_remove", lambda s: (JULIET, ROMEO, *LIMITS), second=[b"ok", b"", b""])
row("roster_follow", lambda s: (*s.grip, _older(s), *LIMITS), **put_twice("pushes of the same changes"),
    second=lambda first, second: is_ok(second) and second[1] > first[1])  # fmt: skip
read("roster", lambda s: (JULIET, ""))
row("subscription_out", lambda s: (JULIET, "nurse@localhost", "subscribe",
    f"<presence from='{JULIET}' to='nurse@localhost' type='subscribe'/>", 100, *LIMITS),
    differs=r":out ", why="it goes to the contact twice, who takes it once: the row below",
    second=lambda _, second: is_ok(second) and second[1] != b"")  # fmt: skip
row("subscription_in", lambda s: (JULIET, "nurse@localhost", "subscribe", "5-1",
    f"<presence from='nurse@localhost' to='{JULIET}' type='subscribe'/>", *LIMITS),
    second=[b"ok", b"", [], []])  # fmt: skip


def _older(s: Scene) -> int:
    version = s.people.items(JULIET).version
    s.people.rosters.set(JULIET, "nurse@localhost", name="N", groups=[], most_items=100)
    return version


# Blocking

BLOCK_PUSH = "<block xmlns='urn:xmpp:blocking'><item jid='friar@localhost'/></block>"
row("blocklist", lambda s: (JULIET, s.world.bind("third").sid, 1))
row("block", lambda s: (JULIET, *s.grip, "r1", BLOCK_PUSH, 100, *LIMITS, "friar@localhost", ROMEO),
    second=lambda first, second: second[1] == [] and second[2:] == first[2:])  # fmt: skip
row("unblock", lambda s: (_blocking(s), *s.grip, "r2", "<unblock xmlns='urn:xmpp:blocking'/>", *LIMITS),
    second=lambda first, second: second[1] == [] and second[2:] == first[2:])  # fmt: skip
read("visibility", lambda s: (JULIET, ROMEO, ROMEO, ""))
read("does_block", lambda s: (JULIET, ROMEO))


def _blocking(s: Scene) -> str:
    s.call("block", JULIET, *s.grip, "r1", BLOCK_PUSH, 100, *LIMITS, "friar@localhost", ROMEO)
    return JULIET


# The archive

row("archive_results", lambda s: (*s.grip, "page", *LIMITS, "1-0", s.archived(), "<message/>", "<message/>"))
row("archive_set_prefs", lambda s: (JULIET, "roster", ROMEO, "never"))
row("archive_take", lambda s: (_kept(s), "worker", 60_000, 0, 0, 10), differs=":archmv ", why="the lease begins anew")
row("archive_moved", lambda s: (JULIET, "worker", s.archived()))
row("archive_prune", lambda s: (JULIET, s.archived()), second=b"no")
row("archive_erased", lambda s: (JULIET, _removed_archive(s)))
read("archive_page", lambda s: (_kept(s), "0-0", "9999999999999-0", "1", 10, 100_000, ""))
read("archive_find", lambda s: (JULIET, s.archived()))
read("archive_ends", lambda s: (_kept(s),), second=lambda first, second: first[:5] == second[:5])
read("archive_prefs", lambda s: (JULIET,))
read("archive_due", lambda s: ("0", 1000, 1000, "1"))
read("archive_nth", lambda s: (_kept(s), 2))
read("archive_removed", lambda s: ("0",))


def _kept(s: Scene) -> str:
    s.archived()
    return JULIET


def _removed_archive(s: Scene) -> str:
    s.archived()
    s.call("remove", JULIET)
    found: Any = s.call("archive_removed", "0")
    return str(found[2].decode())


# The offline store

row("offline_list", lambda s: (_waiting(s), "phone", 0, 10, "1", *LIMITS))
read("offline_find", lambda s: (_waiting(s), 0, "1", *_nodes(s)))
row("offline_remove", lambda s: (_waiting(s), "phone", "r1", 0, _nodes(s)[0]))
row("offline_purge", lambda s: (_waiting(s), "phone", "r1", *LIMITS))


def _waiting(s: Scene) -> str:
    s.stored()
    return JULIET


def _nodes(s: Scene) -> list[str]:
    return [node.decode() for node in s.call("offline_list", JULIET, "nobody", 0, 10, "0", *LIMITS)[2::2]]


# Personal eventing

P = ("@process", 7)
PUBLISHED = ("new", "<item id='new'/>", "<item id='new'/>")
row("pubsub_create", lambda s: (*P, JULIET, "n", s.config, "{}", 10))
row(
    "pubsub_publish",
    lambda s: (
        *P, _wanting(s), JULIET, TUNE, TUNE, *PUBLISHED, s.config, "{}", "e", 10, 3, 9999, *LIMITS,
    ),
    second=lambda first, second: (
        (first[:3], first[4:7]) == (second[:3], second[4:7]) and len(first[3]) == len(second[3])
    ),
)  # fmt: skip
row("pubsub_tell", lambda s: (*P, _wanting(s), JULIET, TUNE, "i1", "<items/>", "e", *LIMITS))
row(
    "pubsub_notify",
    lambda s: (*P, _wanting(s), ROMEO, ROMEO, TUNE, "i", "name", "headline", "e", "<items/>", "", *LIMITS),
)
row("pubsub_retract", lambda s: (*P, _wanting(s), JULIET, TUNE, "i1", "<items/>", "e", "1", *LIMITS))
row("pubsub_empty", lambda s: (*P, _wanting(s), JULIET, TUNE, "purge", "<purge/>", "e", *LIMITS))
row("pubsub_configure", lambda s: (*P, JULIET, JULIET, TUNE, json.dumps({"max_items": 2}), "", "e", 10, *LIMITS))
row("pubsub_affiliate", lambda s: (JULIET, TUNE, 10, "friar@localhost", "member"))
row("pubsub_subscribe", lambda s: (JULIET, ORCHARD, TUNE, ROMEO, 10))
row("pubsub_unsubscribe", lambda s: (*P, _subscribed(s), ORCHARD, TUNE, ROMEO))
row("pubsub_interest", lambda s: (*P, *s.grip, f"\n{TUNE}\n", *LIMITS))
row("pubsub_take", lambda s: (*P, *s.grip, ROMEO, *LIMITS, "name", "<message/>"))
row("pubsub_gone", lambda s: (_purging(s), ""), second=0)
row("caps_keep", lambda s: ("sha-1#ver", f"\n{TUNE}\n"), at=keys.CAPS)
read("pubsub_standing", lambda s: (JULIET, ORCHARD))
read("pubsub_audience", lambda s: (JULIET, TUNE, "0"))
read("pubsub_node", lambda s: (JULIET, ORCHARD, TUNE))
read("pubsub_nodes", lambda s: (JULIET, ORCHARD))
read("pubsub_items", lambda s: (JULIET, ORCHARD, TUNE, "last", 2))
read("pubsub_subscriptions", lambda s: (JULIET, ORCHARD, ""))
read("pubsub_affiliations", lambda s: (JULIET, PHONE, TUNE, "node"))
read("pubsub_last", lambda s: (JULIET, JULIET, ORCHARD, ORCHARD, f"\n{TUNE}\n"))
read("pubsub_eager", lambda s: (JULIET,))
read("pubsub_sources", lambda s: (JULIET, "0"))


def _wanting(s: Scene) -> str:
    s.stage.wants(s.phone, TUNE)
    s.phone.ack_all()
    return JULIET


def _subscribed(s: Scene) -> str:
    s.call("pubsub_subscribe", JULIET, ORCHARD, TUNE, ROMEO, 10)
    return JULIET


def _purging(s: Scene) -> str:
    s.call("pubsub_configure", "@other", 1, JULIET, JULIET, TUNE, '{"purge_offline": true}', "", "e", 10, *LIMITS)
    s.phone.presence(None)
    s.tablet.presence(None)
    return JULIET


# What an account keeps

row("vault_keep", lambda s: (JULIET, "private", 10, 1000, "{x}y", "<y xmlns='x'/>"))
row("vcard_swap", lambda s: (JULIET, "", "<vCard xmlns='vcard-temp'/>", "hash", 1000))
read("vcard_shown", lambda s: (JULIET, ORCHARD))
row("command_keep", lambda s: (JULIET, "session", "state", 60_000, 5), differs=":cmd:", why="its time begins anew")
row("command_take", lambda s: (JULIET, s.commanded(), "r1"))
row("command_end", lambda s: (JULIET, s.commanded()), second=0)
row("invite_make", lambda s: (_five_invites(s), "sixth", "", 1, 60_000, 5))
read("invite_look", lambda s: (s.invited(),))
row("invite_claim", lambda s: (s.invited(), "new@localhost", "claim", ""), differs="claimed_at$", why="its time")
row("invite_release", lambda s: (_claimed(s), "claim"), second=0)
row("invite_used", lambda s: (s.invited(),))
row("reserve", lambda s: ("new@localhost", "digest", 60_000), at=keys.prefix("new@localhost"))
row("enroll", lambda s: ("new@localhost", "", "r1", "scheme", "test"), at=keys.prefix("new@localhost"))
row("admit", lambda s: ("192.0.2.1", 10, 100, 60_000), differs=":tries:", why="a limit is reached one try sooner")


def _five_invites(s: Scene) -> str:
    for number in range(5):
        s.call("invite_make", JULIET, f"digest{number}", "", 1, 60_000 + number, 5)
    return JULIET


def _claimed(s: Scene) -> str:
    s.call("invite_claim", s.invited(), "new@localhost", "claim", "")
    return "digest"


# Components

row("component", lambda s: s.bridge(), at=keys.prefix(BRIDGE))
row(
    "deliver_component",
    lambda s: (
        _bridged(s), "", PHONE, s.phone.sid, 7, 60_000, "m", "chat", "b", *LIMITS, "<message/>",
        s.phone.grip.epoch, s.phone.sid, JULIET, 0,
    ),
    at=keys.prefix(BRIDGE),
    sender_at=keys.prefix(JULIET),
    second=lambda first, second: (first[0], second[0]) == (b"ok", b"duplicate"),
)  # fmt: skip


def _to_another_slot(s: Scene) -> tuple[Any, ...]:
    return (
        ROMEO, "", PHONE, s.phone.sid, 1, 60_000, "m", "chat", "swba", *LIMITS, a_message("hello"), s.phone.grip.epoch,
        s.phone.sid, JULIET, 20, "deliver", keys.prefix(ROMEO),
    )  # fmt: skip


def _dispatched(s: Scene) -> str:
    s.call("dispatch", *_to_another_slot(s))
    return f"{s.phone.sid} 1"


row("dispatch", _to_another_slot)
row("confirm", lambda s: (JULIET, _dispatched(s), "bounce", *LIMITS, "m", "<message type='error'/>"), second=[b"gone"])
read("transfers", lambda s: (_dispatched(s) and JULIET, 0))


def _bridged(s: Scene) -> str:
    s.call("component", *s.bridge(), at=keys.prefix(BRIDGE))
    return f"a@{BRIDGE}"


# Devices of other servers' users

PUSH_SERVICE = "push.example"
OWNER = f"{PUSH_SERVICE} juliet@other.example"
AT_OWNER = keys.prefix(OWNER)
NODE = next(jid for n in range(9999) if keys.prefix(jid := f"{n:032x}@{PUSH_SERVICE}") == AT_OWNER)
DEVICE = json.dumps({"service": PUSH_SERVICE, "sid": "", "resource": "", "app": "chat", "token": "ab"})
row("device_add", lambda s: (OWNER, "phone", NODE, "secret", DEVICE, 5, 10, 60_000), at=AT_OWNER,
    differs=r" registered_at$|:push:", why="registered when it came the last time")  # fmt: skip
row("device_remove", lambda s: (_registered(s), "phone", ""), at=AT_OWNER, second=0)
row("device_notify", lambda s: (*P, _registered(s) and NODE, "message", 1, "<message/>", 60_000), at=AT_OWNER)


def _registered(s: Scene) -> str:
    s.call("device_add", OWNER, "phone", NODE, "secret", DEVICE, 5, 10, 60_000, at=AT_OWNER)
    return OWNER


# Accounts

row("remove", lambda s: (JULIET,), second=[b"no-account"])
row("disable", lambda s: (JULIET, "", "if_offline", *LIMITS, 10), second=[b"ok", [], []])
row("reenable", lambda s: (_disabled(s),))
read("sessions", lambda s: (JULIET,))
read("census", lambda s: ())
read("push_state", lambda s: (JULIET,), second=lambda first, second: second[1:] == first[1:] and second[0] >= first[0])
read("credentials", lambda s: (JULIET,))
read("standing", lambda s: (JULIET,))
read("attendance", lambda s: ("0", 100))
read("tails", lambda s: ("n1",))
row("fence", lambda s: ())
read("run_id", lambda s: ())
row("survey", lambda s: ("of another server", "n1"), second=-1)
row(
    "verify",
    lambda s: ("n1", "if_offline", *LIMITS, 10, JULIET, *s.grip, 10_000, 0, 0),
    second=lambda first, second: second == [[b"gone", *first[0][1:3], first[0][1]]],
)
read("memory", lambda s: (), second=lambda first, second: second[0] == first[0] and second[2:] == first[2:])
row("beat", lambda s: ("n1",), at=keys.NODES, differs=r"nodes n1$", why="it only has to move", second=2)
row("introduce", lambda s: ("n1", "{}"), at=keys.NODE_MEMBERS, second=0)
row("mark_dead", lambda s: ("n1",), at=keys.DEAD_NODES, second=0)
read("outbox", lambda s: (100, 0))


def _disabled(s: Scene) -> str:
    s.call("disable", JULIET, "", "if_offline", *LIMITS, 10)
    return JULIET
