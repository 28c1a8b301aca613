"""What push workers ask of the mailbox, each request sent twice as the journal does when a connection is lost before
the answer came: it is done once, and the second answer loses nobody's push.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal
from gateway.mailbox.push_model import Told, push_id
from gateway.mailbox.pushes import Cancelled, Event, Later, Pushes, Registration, Send
from tests.mailbox.sleepers import send, sleeper
from tests.mailbox.test_push_when import fall_due, propose
from tests.mailbox.world import JULIET, Client, World, a_world

FLOOR_MS = 60_000


class Unlucky:
    """Loses the connection behind every request, before the answer to it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def call(self, *arguments: Any) -> Any:
        self._journal.call(*arguments)
        return self._journal.call(*arguments)

    def call_all(self, commands: Sequence[Any]) -> Any:
        return self._journal.call_all(commands)


class Story:
    """A phone with something to be told, and a worker whose requests come once or twice."""

    def __init__(self, world: World, *, is_unlucky: bool) -> None:
        self.world = world
        journal = cast(Journal, Unlucky(world.journal)) if is_unlucky else world.journal
        self.worker = Pushes(journal)
        self.phone: Client = sleeper(world)
        send(world, "1")

    def event(self) -> Event:
        return self.world.events()[0]

    def claim(self, **options: int) -> Send | Later | Cancelled:
        return self.worker.claim(self.event(), **{"floor_ms": 0, **options})

    def begun(self) -> tuple[Event, Registration]:
        event, answer = self.event(), self.claim()
        assert isinstance(answer, Send)
        return event, answer.registrations[0]

    def told(self, event: Event, call: str = "") -> Told:
        return Told(push_id=push_id(event.bucket, event.id, "phone"), provider="apns", why="x", after_ms=7, call=call)

    def failed(self, *, is_tried: bool = True) -> None:
        event, registration = self.begun()
        told = Told(is_tried=is_tried, why="503")
        self.worker.retry(event, registration, wait_ms=FLOOR_MS, told=told)
        self.worker.done(event, final=False)

    def ended(self, outcome: str = "delivered", **options: Any) -> None:
        event, registration = self.begun()
        self.worker.outcome(event, registration, outcome, told=self.told(event), **options)
        self.worker.done(event, final=True)

    def dead_letter(self) -> None:
        event, registration = self.begun()
        self.worker.bury(event, registration, "BadTopic")
        self.worker.outcome(event, registration, "refused", told=self.told(event))
        self.worker.done(event, final=True)
        ((letter, fields),) = self.world.pushes.dead_letters()
        self.worker.replay(letter, fields)

    # what there is to compare

    def state(self) -> dict[str, Any]:
        at, redis = self.world.at, cast(Any, self.world.redis)
        jobs = [sorted(name for name in redis.hkeys(job) if name[:1] not in b"@^") for job in redis.scan_iter("*job:*")]
        return {
            "counters": self.world.pushes.counters(),
            "events": [(event.kind, event.reason, bool(event.only), event.attempt) for event in self.world.events()],
            "retries": redis.zcard(keys.key(at, "retries")),
            "jobs": sorted(jobs),
            "trace": [(line.what, line.why) for line in self.world.pushes.trace(JULIET)],
            "registrations": redis.hlen(keys.key(at, "registrations", JULIET)),
            "calls": redis.hlen(keys.key(at, "calls", JULIET)),
            "marks": {name: self.phone.marks()[name] for name in ("pending", "covered", "important", "gen")},
        }


def is_later(story: Story) -> None:
    story.ended()
    send(story.world, "2")
    story.claim(floor_ms=FLOOR_MS)


def is_back(story: Story) -> None:
    story.phone.resume(0)
    story.claim()


def was_begun_and_is_back(story: Story) -> None:
    story.claim()
    is_back(story)


def failed_and_is_back(story: Story) -> None:
    story.failed()
    story.phone.resume(0)
    fall_due(story.world)
    story.claim()


def is_unregistered(story: Story) -> None:
    story.worker._call("unregister", story.event().bucket, JULIET, "push.localhost", "")
    story.claim()


def failed_twice(story: Story) -> None:
    story.failed()
    fall_due(story.world)
    story.failed()


def was_put_off_and_delivered(story: Story) -> None:
    story.failed(is_tried=False)
    fall_due(story.world)
    story.ended()


def rang(story: Story) -> None:
    story.ended()
    story.world.deliver(propose("c1"), flags="swub")
    event, registration = story.begun()
    story.worker.outcome(event, registration, "delivered", told=story.told(event, "c1"))
    story.worker.done(event, final=True)
    stanza = b"<message><retract xmlns='urn:xmpp:jingle-message:0' id='c1'/></message>"
    story.world.deliver(stanza, flags="sbx")


def showed_nothing(story: Story) -> None:
    event, registration = story.begun()

    assert story.worker.may_show_nothing(event, registration, gap_ms=FLOOR_MS)


def was_replayed_and_is_back(story: Story) -> None:
    story.dead_letter()
    is_back(story)


STORIES: tuple[Callable[[Story], object], ...] = (
    Story.claim, is_later, is_back, was_begun_and_is_back, failed_and_is_back, is_unregistered, Story.failed,
    failed_twice, was_put_off_and_delivered, Story.ended, rang, showed_nothing, Story.dead_letter,
    was_replayed_and_is_back,
)  # fmt: skip


@pytest.mark.parametrize("tell", STORIES, ids=lambda tell: tell.__name__.strip("_"))
def test_requests_that_come_twice_do_what_they_do_once(redis_url: str, tell: Callable[[Story], object]) -> None:
    states = []
    for is_unlucky in (False, True):
        with a_world(redis_url) as world:
            world.redis.flushdb()
            world.account()
            story = Story(world, is_unlucky=is_unlucky)
            tell(story)
            states.append(story.state())

    once, twice = states
    assert once == twice


def test_a_token_that_is_gone_is_gone_when_it_is_said_twice(world: World) -> None:
    story = Story(world, is_unlucky=True)
    story.ended("token-gone", dead=True)

    assert ({"token-gone": 1}, 0) == (world.pushes.outcomes(), story.state()["registrations"])


@pytest.mark.parametrize("tell", [is_later, Story.failed, was_begun_and_is_back], ids=["later", "failed", "back"])
def test_after_all_of_it_the_phone_is_woken_and_the_books_are_right(
    world: World, tell: Callable[[Story], None]
) -> None:
    story = Story(world, is_unlucky=True)
    tell(story)
    if tell is was_begun_and_is_back:
        awake = story.phone.taken_over(story.phone.resume(0))
        awake.hibernate()
    fall_due(world)
    found = world.pushes.counters()

    assert 1 == world.push_all()
    found = world.pushes.counters()
    ended = sum(count for name, count in found.items() if name.startswith("cancelled:"))
    assert found["raised"] == ended + found["claimed"]
    assert found["queued"] == sum(world.pushes.outcomes().values())


def test_the_answer_to_a_claim_that_is_sent_again_is_the_same(world: World) -> None:
    story = Story(world, is_unlucky=True)
    answer = story.claim()

    assert isinstance(answer, Send)
    assert (1, 1, "message") == (answer.count, answer.fresh, answer.kind)
    assert 0 == world.pushes.counters().get("repeated", 0)
