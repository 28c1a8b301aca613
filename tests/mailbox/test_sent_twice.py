"""Every operation sent twice with the same arguments, as the journal does after a lost connection: what it did is done
once, and the second answer tells the caller what it needs.

Each registered operation has a row here. What may differ after the second time is said in the row, with its reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from gateway.mailbox import keys, library
from gateway.mailbox.pubsub_model import NodeConfig
from tests.mailbox.eventing import TUNE, Stage
from tests.mailbox.people import ROMEO, People
from tests.mailbox.world import CHAT, JULIET, Client, World, a_message

LIMITS = (5000, 1000)
PHONE = f"{JULIET}/phone"
ORCHARD = f"{ROMEO}/orchard"
BRIDGE = "bridge.localhost"


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


A_LIFE = names("bind enable presence register deliver append handled hibernate peek resume ack close read create")
"""sent twice over a line that breaks: test_journal.py, test_every_operation_may_be_sent_twice; test_accounts.py"""

ONLY_READS = names(
    """
    archive_page archive_find archive_ends archive_prefs archive_due archive_nth archive_removed audience farewells
    shown roster does_block visibility pubsub_standing pubsub_audience pubsub_node pubsub_nodes pubsub_items
    pubsub_subscriptions pubsub_affiliations pubsub_last pubsub_eager pubsub_sources seen last_activity avatar_told
    vcard_shown sessions census invite_look credentials standing attendance tails outbox offline_find fade
    """
)
"""change nothing: a row shows that they do not"""


class Scene:
    """Juliet has a phone and a tablet, Romeo is her contact, and something of each kind is kept."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.people = People(world)
        self.people.befriend(JULIET, ROMEO)
        self.phone = self._device("phone")
        self.tablet = self._device("tablet")
        self.stage = Stage(world)
        for number in range(3):
            self.stage.publish(item=f"i{number}", max_items=10, notify_retract=True)
        self.config = msgspec.json.encode(NodeConfig(max_items=10)).decode()
        self.stage.settle()
        self.phone.ack_all()
        self.tablet.ack_all()

    def _device(self, resource: str) -> Client:
        device = self.people.available(JULIET, resource)
        device.carbons()
        self.world.call("blocklist", JULIET, device.sid, device.grip.epoch)
        return device

    def call(self, operation: str, *arguments: bytes | str | int, at: str = "", sender_at: str = "") -> Any:
        names = [at or keys.prefix(JULIET), *([sender_at] if sender_at else [])]
        return self.world.journal.call("FCALL", library.function(operation), len(names), *names, *arguments)

    @property
    def grip(self) -> tuple[str, int]:
        return self.phone.sid, self.phone.grip.epoch

    def asleep(self) -> str:
        self.phone.hibernate()
        return self.phone.sid

    def archived(self) -> str:
        """Three archived messages; answers the id of the second."""
        ids = [self.world.deliver(a_message(str(n)), flags=CHAT + "a").archive_id for n in range(3)]
        self.phone.ack_all()
        return ids[1]

    def stored(self) -> None:
        """Nobody is available, and messages wait offline."""
        self.phone.presence(None)
        self.tablet.close()
        for number in range(3):
            self.world.deliver(a_message(str(number)))

    def bridge(self) -> tuple[str | int, ...]:
        """What claims the component's session."""
        return BRIDGE, "bridge-sid", "n1", "owner-of-bridge", 60_000, ""

    def invited(self) -> str:
        self.call("invite_make", JULIET, "digest", "", 1, 60_000, 5)
        return "digest"

    def commanded(self) -> str:
        self.call("command_keep", JULIET, "session", "state", 60_000, 5)
        return "session"

    def content(self) -> dict[tuple[str, str], Any]:
        """Everything in Redis, by key and field, without what the clock says."""
        found: dict[tuple[str, str], Any] = {}
        redis: Any = self.world.redis
        for name in sorted(redis.scan_iter(count=1000)):
            key, kind = name.decode(), redis.type(name)
            if kind == b"hash":
                found |= {(key, field.decode()): _parsed(value) for field, value in redis.hgetall(name).items()}
            elif kind == b"set":
                found |= {(key, str(member)): b"" for member in redis.smembers(name)}
            elif kind == b"zset":
                found |= {(key, member.decode()): score for member, score in redis.zrange(name, 0, -1, withscores=True)}
            elif kind == b"list":
                found |= {(key, str(at)): _timeless(entry) for at, entry in enumerate(redis.lrange(name, 0, -1))}
            elif kind == b"stream":
                found |= {(key, str(at)): fields for at, (_, fields) in enumerate(redis.xrange(name))}
            else:
                found[key, ""] = redis.get(name)
        return found


def _parsed(value: bytes) -> Any:
    return json.loads(value) if value.startswith(b"{") else value  # its fields are in no order


def _timeless(entry: bytes) -> bytes:
    return re.sub(rb"^(\w+)\|[\d-]+\|", rb"\1|", entry)


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


def registered() -> set[str]:
    return set(re.findall(r"^ *register\('(\w+)'", library.source(), re.MULTILINE))


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
row("reap", lambda s: ("n1", 100, 60_000, *LIMITS, 10, "if_offline"), second=[b"done", 0])
row("posted", lambda s: (_posted(s),), second=0)
row("chores", lambda s: (100,), changes=False)


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
row("meet_all", lambda s: (ORCHARD, ROMEO, f"<presence from='{ORCHARD}'/>", "", *LIMITS, JULIET, "ta"),
    **put_twice(PRESENCE_TWICE), second=lambda first, second: first[2:] == second[2:] and second[0] == [2])  # fmt: skip
row("receive", lambda s: (*s.grip, *LIMITS, "p", ORCHARD, f"<presence from='{ORCHARD}'/>"),
    **put_twice(PRESENCE_TWICE), second=lambda first, second: second[2] == 1 and second[1] > first[1])  # fmt: skip
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


def _bridged(s: Scene) -> str:
    s.call("component", *s.bridge(), at=keys.prefix(BRIDGE))
    return f"a@{BRIDGE}"


# Accounts

row("remove", lambda s: (JULIET,), second=[b"no-account"])
row("disable", lambda s: (JULIET, "", "if_offline", *LIMITS, 10), second=[b"ok", [], []])
row("reenable", lambda s: (_disabled(s),))
read("sessions", lambda s: (JULIET,))
read("census", lambda s: ())
read("credentials", lambda s: (JULIET,))
read("standing", lambda s: (JULIET,))
read("attendance", lambda s: ("0", 100))
read("tails", lambda s: ("n1",))
read("outbox", lambda s: (100,))


def _disabled(s: Scene) -> str:
    s.call("disable", JULIET, "", "if_offline", *LIMITS, 10)
    return JULIET


PUSH_WORKER = frozenset({"claim", "pushed", "retry", "done", "unregister"})
"""sent by push workers, one at a time: tests/mailbox/test_push.py"""


def test_no_operation_is_left_out() -> None:
    assert registered() - PUSH_WORKER - A_LIFE == set(ROWS)
    assert set(ROWS) >= ONLY_READS


@pytest.mark.parametrize("operation", sorted(ROWS))
def test_the_second_time_changes_nothing(world: World, operation: str) -> None:
    it = ROWS[operation]
    scene = Scene(world)
    arguments = it.arguments(scene)
    before = scene.content()
    first = scene.call(operation, *arguments, at=it.at, sender_at=it.sender_at)
    once = scene.content()
    second = scene.call(operation, *arguments, at=it.at, sender_at=it.sender_at)
    twice = scene.content()

    differing = {" ".join(name) for name in once.keys() | twice.keys() if once.get(name) != twice.get(name)}
    assert set() == {name for name in differing if not it.differs or not re.search(it.differs, name)}
    assert it.changes == (before != once)
    if callable(it.second):
        assert it.second(first, second), (first, second)
    else:
        assert (first if it.second == "the same" else it.second) == second


def test_of_several_that_come_again_none_looks_new(world: World) -> None:
    """The mark of what a process has sent only rises."""
    scene = Scene(world)
    scene.stage.wants(scene.phone, TUNE)
    scene.phone.ack_all()
    events = [
        ("pubsub_notify", "@process", serial, JULIET, ROMEO, ROMEO, TUNE, "i", str(serial), "headline", "e", "<items/>",
         "", *LIMITS) for serial in (1, 2, 3)
    ]  # fmt: skip
    for event in events * 2:
        scene.call(*event)

    assert 3 == len(scene.phone.read())


def test_a_purge_that_comes_again_takes_nothing_that_came_since(world: World) -> None:
    scene = Scene(world)
    scene.stored()
    scene.call("offline_purge", JULIET, "phone", "r1", *LIMITS)
    world.deliver(a_message("late"))
    scene.call("offline_purge", JULIET, "phone", "r1", *LIMITS)

    assert [a_message("late")] == world.offline()


@pytest.mark.parametrize("how", ["purged", "expired"])
def test_what_happens_to_items_does_not_bring_a_disabled_account_back(world: World, how: str) -> None:
    scene = Scene(world)
    options = {"purge_offline": True} if how == "purged" else {"item_expire": 1}
    scene.call("pubsub_configure", "@other", 1, JULIET, JULIET, TUNE, json.dumps(options), "", "e", 10, *LIMITS)
    scene.call("disable", JULIET, "", "if_offline", *LIMITS, 10)
    if how == "purged":
        scene.call("pubsub_gone", JULIET, "")
    else:
        for name, value in world.hash("node_items", JULIET, TUNE).items():  # published long ago
            if name:
                aged = "1|" + value.partition("|")[2]
                world.redis.hset(keys.key(world.at, "node_items", JULIET, TUNE), name, aged)
    seen = scene.call("meet", JULIET, ORCHARD, ROMEO, "", "1", f"\n{TUNE}\n", "", *LIMITS)

    assert [] == seen[3]
    assert not world.redis.exists(keys.key(world.at, "account", JULIET))


def test_what_another_device_did_meanwhile_stays(world: World) -> None:
    """A block, a purge and a change of a node that come again do not undo what came after them."""
    scene = Scene(world)
    grip = (*scene.grip, "r1")
    empty = ("pubsub_empty", *P, JULIET, JULIET, TUNE, "purge", "<purge/>", "e", *LIMITS)
    configure = ("pubsub_configure", "@third", 1, JULIET, JULIET, TUNE, '{"max_items": 2}', "", "e", 10, *LIMITS)
    block = ("block", JULIET, *grip, BLOCK_PUSH, 100, *LIMITS, "friar@localhost")
    for operation in (empty, configure, block):
        scene.call(*operation)
    scene.stage.publish(item="newer")
    scene.call("pubsub_configure", "@fourth", 1, JULIET, JULIET, TUNE, '{"max_items": 5}', "", "e", 10, *LIMITS)
    tablet = (scene.tablet.sid, scene.tablet.grip.epoch, "r2", "<unblock xmlns='urn:xmpp:blocking'/>")
    scene.call("unblock", JULIET, *tablet, *LIMITS, "friar@localhost")
    for operation in (empty, configure, block):
        scene.call(*operation)

    assert ["newer"] == scene.stage.ids()
    assert 5 == json.loads(world.hash("nodes", JULIET)[TUNE])["max_items"]
    assert not world.redis.exists(keys.key(world.at, "blocked", JULIET))
