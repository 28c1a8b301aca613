"""External components' mailboxes: who may consume the queue of a domain, and what becomes of what waits in it."""

from __future__ import annotations

import gevent
import pytest

from gateway.mailbox import keys, nodes
from gateway.mailbox.components import Claimed, Components, Taken
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Delivery, Origin, Status
from gateway.mailbox.settings import OfflineSettings, SmacksSettings
from tests.mailbox.world import ROMEO, World, waited

DOMAIN = "bridge.localhost"
AT = keys.prefix(DOMAIN)
BUCKET = int(AT.split("{b")[1].split("}")[0])


class Bridge:
    """The component's mailbox, as a process sees it that knows the component."""

    def __init__(self, world: World, *, queue: int = 5000) -> None:
        smacks, offline = SmacksSettings(smacks_max_queue_size=queue), OfflineSettings()
        self.world = world
        self.mailbox = Mailbox(world.journal, node=world.node, smacks=smacks, offline=offline, components=[DOMAIN])
        self.components = Components(self.mailbox)

    def claim(self, *, owner: str = "", wait_ms: int = 0, over: Taken | None = None) -> Claimed | Taken:
        name = self.world.name("claim")
        return self.components.claim(domain=DOMAIN, sid=name, owner=owner or name, wait_ms=wait_ms, over=over)

    def claimed(self, *, wait_ms: int = 0, over: Taken | None = None) -> Claimed:
        found = self.claim(wait_ms=wait_ms, over=over)
        assert isinstance(found, Claimed)
        return found

    def deliver(
        self, stanza: bytes, *, to: str = f"a@{DOMAIN}", kind: str = "m", origin: Origin | None = None
    ) -> Delivery:
        outcome: Delivery = waited(
            lambda done: self.mailbox.deliver(
                user=to, resource="", sender=ROMEO, origin=origin, kind=kind, type="chat", flags="wab",
                stanza=stanza, split=0, done=done,
            )
        )  # fmt: skip
        return outcome

    def queue(self, claimed: Claimed) -> list[bytes]:
        _, entries = waited(
            lambda done: self.mailbox.read(
                claimed.grip, position=claimed.acked + 1, most=1000, most_bytes=10**9, done=done
            )
        )
        return [one.stanza for one in entries]

    def outbox(self) -> list[bytes]:
        return [bytes(fields["stanza"]) for _, fields in self.world.sweep.outbox(BUCKET)]


@pytest.fixture
def bridge(world: World) -> Bridge:
    return Bridge(world)


def test_without_a_connection_nothing_is_taken(bridge: Bridge) -> None:
    assert Status.NO_ACCOUNT is bridge.deliver(b"<message/>").status
    assert {b"lib", f"{AT}line".encode()} >= set(bridge.world.redis.keys(AT + "*"))


def test_every_address_of_the_domain_leads_into_one_queue(bridge: Bridge) -> None:
    claimed = bridge.claimed()
    for number, to in enumerate((DOMAIN, f"a@{DOMAIN}", f"b@{DOMAIN}")):
        assert Status.OK is bridge.deliver(b"<message n='%d'/>" % number, to=to).status

    assert [b"<message n='%d'/>" % number for number in range(3)] == bridge.queue(claimed)


def test_each_presence_of_one_sender_is_kept(bridge: Bridge) -> None:
    claimed = bridge.claimed(wait_ms=60_000)
    bridge.mailbox.hibernate(claimed.grip)

    for room in (b"a", b"b"):
        bridge.deliver(b"<presence to='%b'/>" % room, kind="p")

    assert [b"<presence to='a'/>", b"<presence to='b'/>"] == bridge.queue(bridge.claimed())


def test_an_origin_is_taken_once(bridge: Bridge) -> None:
    claimed = bridge.claimed()
    origin = Origin("sender", 1, 60_000)

    outcomes = [bridge.deliver(b"<message/>", origin=origin).status for _ in range(2)]

    assert [Status.OK, Status.DUPLICATE] == outcomes
    assert 1 == len(bridge.queue(claimed))


def test_a_full_queue_refuses_and_takes_the_same_again_later(world: World) -> None:
    bridge = Bridge(world, queue=2)
    claimed = bridge.claimed()
    outcomes = [bridge.deliver(b"<message/>", origin=Origin("s", n, 60_000)).status for n in (1, 2, 3)]
    waited(lambda done: bridge.mailbox.ack(claimed.grip, 2, done))

    assert [Status.OK, Status.OK, Status.FULL] == outcomes
    assert Status.OK is bridge.deliver(b"<message/>", origin=Origin("s", 3, 60_000)).status


def test_what_is_not_acknowledged_goes_back_when_the_session_ends(bridge: Bridge) -> None:
    claimed = bridge.claimed()
    for name in (b"a", b"b"):
        bridge.deliver(b"<message id='%b'/>" % name)
    waited(lambda done: bridge.mailbox.ack(claimed.grip, 1, done))

    bridge.mailbox.close(claimed.grip)

    assert [b"<message id='b'/>"] == bridge.outbox()
    assert Status.NO_ACCOUNT is bridge.deliver(b"<message/>").status


def test_a_dead_process_session_ends_and_its_queue_goes_back(bridge: Bridge) -> None:
    claimed = bridge.claimed()
    bridge.deliver(b"<message id='a'/>")

    bridge.world.sweep.reap(BUCKET, bridge.world.node)
    bridge.world.sweep.finish(BUCKET, claimed.grip.sid)

    assert [b"<message id='a'/>"] == bridge.outbox()


def test_what_waits_for_a_component_comes_with_its_next_connection(bridge: Bridge) -> None:
    claimed = bridge.claimed(wait_ms=60_000)
    bridge.deliver(b"<message id='a'/>")
    assert "ok" == bridge.mailbox.hibernate(claimed.grip)
    bridge.deliver(b"<message id='b'/>")

    again = bridge.claimed(wait_ms=60_000)

    assert [b"<message id='a'/>", b"<message id='b'/>"] == bridge.queue(again)
    assert (claimed.grip.sid, claimed.grip.epoch + 1) == (again.grip.sid, again.grip.epoch)


def test_a_live_session_is_not_touched(bridge: Bridge) -> None:
    claimed = bridge.claimed()

    found = bridge.claim()

    assert Taken(claimed.grip.sid, 1, bridge.world.node) == found
    assert Status.OK is bridge.deliver(b"<message/>").status
    assert 1 == len(bridge.queue(claimed))


def test_a_live_session_that_may_be_replaced_is_fenced(bridge: Bridge) -> None:
    claimed, taken = bridge.claimed(), bridge.claim()
    bridge.deliver(b"<message/>")
    assert isinstance(taken, Taken)

    again = bridge.claimed(over=taken)

    assert [b"<message/>"] == bridge.queue(again)
    assert bridge.world.node == again.former_node
    assert "stale" == waited(lambda done: bridge.mailbox.ack(claimed.grip, 1, done))[0]
    assert isinstance(bridge.claim(over=taken), Taken)


def test_a_claim_that_is_sent_again_changes_nothing(bridge: Bridge) -> None:
    first, second = bridge.claim(owner="same"), bridge.claim(owner="same")

    assert isinstance(first, Claimed)
    assert first == second


def test_a_process_that_beats_is_alive(bridge: Bridge) -> None:
    def beat() -> None:
        while True:
            nodes.heartbeat(bridge.world.journal, "other", lambda _reply: None)
            gevent.sleep(0.1)

    beating = gevent.spawn(beat)
    gevent.sleep(0)
    try:
        bridge.world.journal.call("HINCRBY", keys.NODES, "other", 1)
        assert bridge.components.is_alive("other")
    finally:
        beating.kill()


def test_a_process_that_is_gone_is_not_alive(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.mailbox.components.BEAT_WAIT_S", 0.3)
    nodes.declare_dead(bridge.world.journal, "killed")
    for node in ("silent", "killed"):
        bridge.world.journal.call("HINCRBY", keys.NODES, node, 1)

    assert not bridge.components.is_alive("unknown")
    assert not bridge.components.is_alive("killed")
    assert not bridge.components.is_alive("silent")
