"""From an event to its end, with a provider that answers what the test wants: real mailboxes, and nobody on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast

import gevent
import pytest
from gevent.event import Event as Flag

from gateway.mailbox.errors import StoreError
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function
from gateway.mailbox.push_life import PushLife
from gateway.mailbox.pushes import STREAMS, Event, Filters, Pushes, Registration
from tests.push.sleeping import Phone, Town, wait_until, waited
from workers.push.apps import Apps
from workers.push.breaker import Breaker, BreakerRules
from workers.push.dispatcher import Dispatcher
from workers.push.notification import Push
from workers.push.outcome import Delivered, Later, Outcome, Refused
from workers.push.provider import Checked
from workers.push.settings import AppSettings, PushSettings

PROPOSE = "<propose xmlns='urn:xmpp:jingle-message:0' id='c1'/>"
ROMEO, TYBALT = "romeo@localhost/garden", "tybalt@localhost/street"
MUTED = Filters(muted=("tybalt@localhost",))


class Scripted:
    """A provider that keeps what it got. `answers` come first, then everything is delivered; while `shut`, it waits."""

    def __init__(self) -> None:
        self.breaker = Breaker(BreakerRules(), clock=time.monotonic)
        self.got: list[Push] = []
        self.answers: list[Outcome] = []
        self.open = Flag()
        self.open.set()

    def send(self, push: Push) -> Outcome:
        self.got.append(push)
        assert self.open.wait(20)
        return self.answers.pop(0) if self.answers else Delivered("1")

    def check(self) -> Checked:
        return Checked(True, "")

    def close(self) -> None:
        """Nothing is open."""

    @property
    def kinds(self) -> list[str]:
        return [push.kind for push in self.got]


class OneProvider:
    """Every app is the same one."""

    def __init__(self, provider: Scripted) -> None:
        self._provider = provider
        self.settings = {"chat": AppSettings(provider="apns", content="sender")}

    def for_registration(self, registration: Registration) -> Scripted:
        return self._provider


class Works:
    """One worker's dispatcher over a town."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.provider = Scripted()
        self.ahead_s = 0.0
        self.dispatcher = self.another(town.journal)

    def another(self, journal: Journal, **settings: Any) -> Dispatcher:
        chosen = PushSettings(**{"floor": 0.0, "offered_grace": 0.0, **settings})
        pushes = Pushes(journal, trace_length=chosen.trace_length)
        apps = cast(Apps, OneProvider(self.provider))
        return Dispatcher(pushes, apps, settings=chosen, clock=lambda: time.time() + self.ahead_s)

    def uses(self, **settings: Any) -> None:
        self.dispatcher = self.another(self.town.journal, **settings)

    def events(self) -> list[Event]:
        found = []
        for name, bucket in STREAMS.items():
            for entry, flat in self.town.journal.call("XRANGE", name, "-", "+"):
                fields = {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
                found.append(Event.read(bucket, entry.decode(), fields))
        return found

    def handle_all(self) -> None:
        while events := self.events():
            self.dispatcher.handle(events[0])

    def later(self) -> None:
        self.town.let_retries_fall_due()
        self.handle_all()

    def counters(self) -> dict[str, int]:
        return Pushes(self.town.journal).counters()

    def books(self) -> tuple[int, int]:
        life = PushLife.of(self.counters())
        return life.events_waiting, life.pushes_under_way


@pytest.fixture
def town(redis_url: str) -> Iterator[Town]:
    made = Town(redis_url)
    yield made
    made.leave()


@pytest.fixture
def works(town: Town) -> Works:
    return Works(town)


# concurrency


def test_what_finds_its_lane_full_comes_back_and_was_no_try(town: Town, works: Works) -> None:
    works.uses(in_flight=1)
    phone = town.a_phone()
    phone.register(node="one")
    phone.register(node="two", token="cd" * 32)
    phone.sleep()
    phone.gets()
    works.provider.open.clear()
    busy = gevent.spawn(works.handle_all)
    wait_until(lambda: town.retries() == 1)
    works.provider.open.set()
    busy.get(timeout=20)
    works.later()

    assert ({"delivered": 2}, (0, 0)) == (town.outcomes(), works.books())
    assert (2, 1) == (works.counters()["sent"], works.counters()["put-off"])


def test_a_worker_that_loses_redis_leaves_its_event_to_another(town: Town, works: Works) -> None:
    journal = Journal(town.url, timeout_s=0.5)
    journal.start()
    journal.wait_up(10)
    cut_off = works.another(journal)
    town.a_sleeping_phone().gets()
    works.provider.open.clear()
    busy = gevent.spawn(cut_off.handle, works.events()[0])
    wait_until(lambda: len(works.provider.got) == 1)
    journal.stop()
    works.provider.open.set()
    with pytest.raises(StoreError):
        busy.get(timeout=20)
    left = len(works.events())
    works.handle_all()

    assert (1, {"delivered": 1}, (0, 0)) == (left, town.outcomes(), works.books())
    assert 1 == works.counters()["repeated"]
    assert 1 == len({push.push_id for push in works.provider.got})


def test_what_one_of_two_workers_has_ended_the_other_does_not_end_again(town: Town, works: Works) -> None:
    town.a_sleeping_phone().gets()
    slow, quick = works.dispatcher, works.another(town.journal)
    (event,) = works.events()
    works.provider.open.clear()
    both = [gevent.spawn(worker.handle, event) for worker in (slow, quick)]
    wait_until(lambda: len(works.provider.got) == 2)
    works.provider.answers = [Delivered("1"), Later(reason="503")]
    works.provider.open.set()
    gevent.joinall(both, timeout=20, raise_error=True)
    works.later()

    assert ({"delivered": 1}, (0, 0), 1) == (town.outcomes(), works.books(), works.counters()["repeated"])
    assert [] == list(town.journal.call("KEYS", "*job:*"))


def test_settings_that_are_read_anew_hold_for_what_is_in_hand(town: Town, works: Works) -> None:
    town.a_sleeping_phone().gets()
    works.provider.open.clear()
    works.provider.answers = [Later(reason="503")]
    busy = gevent.spawn(works.handle_all)
    wait_until(lambda: len(works.provider.got) == 1)
    works.dispatcher.reload(PushSettings(retry_limit=1))
    works.provider.open.set()
    busy.get(timeout=20)

    assert {"dead": 1} == town.outcomes()


@pytest.mark.parametrize(
    "settings",
    [
        {"floor": 3600.0},
        {"burst": 0.2},
        {"active_grace": 600.0},
        {"trace_length": 0},
        {"retry_limit": 1},
        {"in_flight": 1},
    ],
    ids=str,
)
def test_a_phone_is_woken_whatever_is_set(town: Town, works: Works, settings: dict[str, Any]) -> None:
    works.uses(**settings)
    town.a_sleeping_phone().gets()
    works.handle_all()

    assert (["message"], {"delivered": 1}, (0, 0)) == (works.provider.kinds, town.outcomes(), works.books())


# what a device does not want to hear of


def test_a_message_that_is_wanted_is_not_overlooked_behind_twenty_that_are_muted(town: Town, works: Works) -> None:
    phone = town.a_sleeping_phone(filters=MUTED)
    phone.gets("wherefore", sender=ROMEO)
    for number in range(30):
        phone.gets(str(number), sender=TYBALT)
    works.handle_all()

    assert [("message", 1, "romeo@localhost")] == [(push.kind, push.count, push.sender) for push in works.provider.got]


def test_one_behind_more_than_anybody_looks_at_wakes_all_the_same(town: Town, works: Works) -> None:
    phone = town.a_sleeping_phone(filters=MUTED)
    phone.gets("wherefore", sender=ROMEO)
    for number in range(220):
        phone.gets(str(number), sender=TYBALT)
    works.handle_all()

    assert ["message"] == works.provider.kinds


def test_what_is_muted_does_not_wake_though_something_that_is_not_waits_and_was_told(town: Town, works: Works) -> None:
    phone = town.a_sleeping_phone(filters=MUTED)
    phone.gets("wherefore", sender=ROMEO)
    works.handle_all()
    phone.gets("insults", sender=TYBALT)
    works.handle_all()

    assert {"delivered": 1, "skipped:muted": 1} == town.outcomes()


def test_a_last_call_for_nothing_but_what_is_muted_is_not_made(town: Town, works: Works) -> None:
    phone = town.a_sleeping_phone(filters=MUTED)
    phone.gets("insults", sender=TYBALT)
    works.handle_all()
    town.journal.call("FCALL", function("last_call"), 1, phone.grip.at, phone.grip.sid)
    works.handle_all()

    assert ([], {"skipped:muted": 2}) == (works.provider.kinds, town.outcomes())


def test_a_call_from_somebody_muted_does_not_ring_for_a_message_of_somebody_else(town: Town, works: Works) -> None:
    phone = town.a_sleeping_phone(filters=MUTED)
    call(town, phone, TYBALT)
    phone.gets("wherefore", sender=ROMEO)
    works.handle_all()

    assert [("message", "romeo@localhost", True)] == [
        (push.kind, push.sender, push.expires_at > time.time() + 3600) for push in works.provider.got
    ]


# calls


def call(town: Town, phone: Phone, sender: str = ROMEO, inner: str = PROPOSE, flags: str = "swub") -> None:
    """A stanza about a call comes; it has no body."""
    stanza = f"<message from='{sender}' to='{phone.user}' type='chat'>{inner}</message>".encode()
    waited(
        lambda done: town.mailbox.deliver(
            user=phone.user, resource="", sender=sender, origin=None, kind="m", type="chat", flags=flags,
            stanza=stanza, done=done,
        )
    )  # fmt: skip


def test_who_calls_is_told_though_somebody_else_wrote_since(town: Town, works: Works) -> None:
    phone = town.a_sleeping_phone()
    call(town, phone)
    phone.gets("insults", sender=TYBALT)
    works.handle_all()

    assert [("call", "romeo@localhost", "c1")] == [(push.kind, push.sender, push.call) for push in works.provider.got]


def test_a_call_rings_though_its_message_came_first_and_ends_in_the_place_of_what_rang(
    town: Town, works: Works
) -> None:
    phone = town.a_sleeping_phone()
    phone.gets()
    call(town, phone)
    works.handle_all()
    call(town, phone, inner="<retract xmlns='urn:xmpp:jingle-message:0' id='c1'/>", flags="sbx")
    works.handle_all()
    phone.gets()
    works.handle_all()
    rang, ended, message = works.provider.got

    assert ["call", "call-ended", "message"] == works.provider.kinds
    assert rang.collapse_id == ended.collapse_id != message.collapse_id


@pytest.mark.parametrize(
    "answer", [Later(reason="503"), Later(40.0, "breaker", is_tried=False), Refused("expired", alert=False)], ids=str
)
def test_a_call_of_which_nobody_could_be_told_in_time_is_told_as_a_message(
    town: Town, works: Works, answer: Outcome
) -> None:
    phone = town.a_sleeping_phone()
    works.provider.answers = [answer]
    call(town, phone)
    works.ahead_s = 40.0
    works.handle_all()
    works.ahead_s = 60.0
    works.later()

    assert (["call", "message"], {"delivered": 1}, (0, 0)) == (works.provider.kinds, town.outcomes(), works.books())


def test_a_push_that_is_worth_nothing_any_more_ends(town: Town, works: Works) -> None:
    works.provider.answers = [Later(reason="503")]
    town.a_sleeping_phone().gets()
    works.handle_all()
    works.ahead_s = 14_400.0
    works.later()

    assert (["message"], {"expired": 1}, (0, 0)) == (works.provider.kinds, town.outcomes(), works.books())
