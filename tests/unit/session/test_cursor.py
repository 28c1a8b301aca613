"""The cursor against a real mailbox: what it writes, when, and what it does with a socket that takes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from gevent.event import AsyncResult

from gateway.mailbox.accounts import Accounts
from gateway.mailbox.errors import StoreError
from gateway.mailbox.journal import Journal
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Delivery
from gateway.mailbox.settings import OfflineSettings, SmacksSettings
from gateway.session.cursor import HIGH_WATER, Cursor
from gateway.session.rhythm import ASK_AFTER, Rhythm
from tests.support.pieces import eventually

JULIET = "juliet@localhost"
ASK = b"<r xmlns='urn:xmpp:sm:3'/>"


@dataclass
class Socket:
    """What was written; `stuck` bytes of it are not taken."""

    written: list[bytes] = field(default_factory=list)
    stuck: int = 0
    lost: int = 0
    failures: list[StoreError] = field(default_factory=list)

    def lose(self) -> None:
        self.lost += 1

    @property
    def stanzas(self) -> bytes:
        return b"".join(self.written).replace(ASK, b"")


@dataclass
class World:
    mailbox: Mailbox
    socket: Socket
    cursor: Cursor

    def deliver(self, *stanzas: bytes, notice: bool = True) -> None:
        """These reach the session's queue; with `notice` the cursor hears of them."""
        for stanza in stanzas:
            result: AsyncResult[Delivery | StoreError] = AsyncResult()
            self.mailbox.deliver(
                user=JULIET, resource="phone", sender="romeo@localhost/x", origin=None, kind="m", type="chat",
                flags="sb", stanza=stanza, done=result.set,
            )  # fmt: skip
            outcome = result.get(timeout=20)
            assert isinstance(outcome, Delivery)
            if notice:
                self.cursor.notice(outcome.placed[0].position, stanza)

    def comes(self, expected: bytes) -> None:
        eventually(lambda: self.socket.stanzas == expected, f"{expected!r}, got {self.socket.stanzas!r}")


def make_world(redis_url: str, *, window: int = 500, smacks: SmacksSettings | None = None) -> Iterator[World]:
    settings = smacks or SmacksSettings()
    journal = Journal(redis_url)
    journal.start()
    mailbox = Mailbox(journal, node="here", smacks=settings, offline=OfflineSettings())
    Accounts(journal).create(JULIET, {"salt": "x"})
    bound = mailbox.bind(
        user=JULIET, resource="phone", sid="s1", owner="here/1", jid_xml=f"{JULIET}/phone", user_xml=JULIET
    )
    assert not isinstance(bound, str)
    rhythm, socket = Rhythm(settings), Socket()
    rhythm.start()
    cursor = Cursor(
        grip=bound.grip, mailbox=mailbox, rhythm=rhythm, write=socket.written.append, backlog=lambda: socket.stuck,
        lost=socket.lose, failed=socket.failures.append, domain="localhost", window=window, started_ms=bound.at_ms,
    )  # fmt: skip
    yield World(mailbox, socket, cursor)
    cursor.stop()
    rhythm.stop()
    journal.stop()


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    yield from make_world(redis_url)


def count(world: World) -> None:
    """XEP-0198 is on."""
    granted = world.mailbox.enable(world.cursor.grip, is_resumable=True, max_ms=60_000, push_max_ms=0, base=0)
    assert granted == 60_000
    world.cursor.start_counting()


def test_entries_are_written_in_the_order_of_their_positions(world: World) -> None:
    world.deliver(b"<a/>", b"<b/>", b"<c/>")

    world.comes(b"<a/><b/><c/>")


def test_a_lost_notice_is_made_up_by_a_look_at_the_queue(world: World) -> None:
    world.deliver(b"<a/>", b"<b/>", notice=False)
    world.deliver(b"<c/>")

    world.comes(b"<a/><b/><c/>")


def test_a_notice_that_comes_twice_writes_once(world: World) -> None:
    world.deliver(b"<a/>")
    world.comes(b"<a/>")
    world.cursor.notice(1, b"<a/>")
    world.deliver(b"<b/>")

    world.comes(b"<a/><b/>")


def test_without_stream_management_an_entry_leaves_the_queue_when_the_socket_took_it(world: World) -> None:
    world.deliver(b"<a/>", b"<b/>")
    world.comes(b"<a/><b/>")

    eventually(lambda: world.cursor.acked == 2, "both to be done")


def test_a_socket_that_takes_nothing_gets_nothing_more_and_then_everything(world: World) -> None:
    count(world)
    world.socket.stuck = HIGH_WATER
    world.deliver(*(b"<s%d/>" % number for number in range(20)))
    while_stuck = world.socket.stanzas
    kept = len(world.cursor._ahead)
    world.socket.stuck = 0
    world.cursor.socket_took_all()

    assert (b"", True) == (while_stuck, kept <= 1)
    world.comes(b"".join(b"<s%d/>" % number for number in range(20)))


def test_no_more_is_written_than_the_window_until_acknowledgements_come(redis_url: str) -> None:
    worlds = make_world(redis_url, window=3)
    world = next(worlds)
    count(world)
    world.deliver(*(b"<s%d/>" % number for number in range(5)))
    world.comes(b"<s0/><s1/><s2/>")

    world.cursor.acknowledge(2)

    world.comes(b"<s0/><s1/><s2/><s3/><s4/>")
    assert [] == list(worlds)


def test_what_a_client_that_acknowledges_nothing_will_not_get_soon_is_not_kept_in_memory(redis_url: str) -> None:
    for world in make_world(redis_url, window=2):
        count(world)
        stanzas = [b"<a>%d %s</a>" % (number, b"x" * 5000) for number in range(20)]
        world.deliver(*stanzas)
        world.comes(b"".join(stanzas[:2]))
        kept = world.cursor.kept_bytes
        for acked in range(2, 21, 2):
            world.cursor.acknowledge(acked)
            world.comes(b"".join(stanzas[: acked + 2]))

        assert 0 == kept


def test_an_acknowledgement_is_asked_for_at_the_first_pause(world: World) -> None:
    count(world)
    world.deliver(b"<a/>")

    eventually(lambda: ASK in world.socket.written, "a request for acknowledgement")
    assert 1 == world.socket.written.count(ASK)


def test_an_acknowledgement_is_asked_for_after_so_many_stanzas_without_a_pause(world: World) -> None:
    count(world)

    world.deliver(*(b"<a/>" for _ in range(ASK_AFTER)))
    world.comes(b"<a/>" * ASK_AFTER)

    assert 1 == world.socket.written.count(ASK)


def test_an_unanswered_request_becomes_overdue_and_an_answer_ends_that(redis_url: str) -> None:
    worlds = make_world(redis_url, smacks=SmacksSettings(smacks_max_ack_delay=0.1))
    world = next(worlds)
    count(world)
    world.deliver(b"<a/>")
    eventually(lambda: world.cursor.is_overdue, "the request to be overdue")

    world.cursor.acknowledge(1)

    assert not world.cursor.is_overdue
    assert [] == list(worlds)


def test_a_session_that_another_connection_took_is_lost(world: World) -> None:
    count(world)
    world.mailbox.resume(user=JULIET, sid="s1", h=0, owner="there/2")
    world.cursor.notice(1)

    eventually(lambda: world.socket.lost > 0, "the cursor to notice")
    assert [] == world.socket.written


def test_a_stopped_cursor_writes_nothing(world: World) -> None:
    world.cursor.stop()
    world.deliver(b"<a/>")
    world.cursor.ask(1.0)

    assert [] == world.socket.written
