"""The router over a real mailbox: every stanza gets exactly one outcome, whatever is wrong with it or with us."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from gateway.composition import Features
from gateway.configuration import read
from gateway.features import FEATURES
from gateway.hooks import Feature, On, Query, StanzaTraits
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.journal import Journal
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Grip, Origin, Placed
from gateway.mailbox.settings import OfflineSettings, SmacksSettings
from gateway.router import Router
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.jid import JID
from gateway.xmpp.stanza import peek
from tests.support.pieces import eventually

ROMEO = JID.parse("romeo@localhost/orchard")


@dataclass
class View:
    """A session as features see it."""

    jid: JID = ROMEO
    grip: Grip = field(default_factory=lambda: Grip("wg:{b00}:", "s1", 1))


@dataclass
class Stanza:
    """One stanza on its way in, and its outcomes."""

    count: int = 1
    session: View = field(default_factory=View)
    outcomes: list[bytes] = field(default_factory=list)
    may_be_taken: bool = True
    had_room: bool = True

    @property
    def origin(self) -> Origin:
        return Origin("s1", self.count, 60_000)

    def reply(self, kind: str, stanza: bytes) -> None:
        self.outcomes.append(stanza)

    def answered(self, position: int, stanza: bytes) -> None:
        self.outcomes.append(stanza)

    def had_no_room(self) -> None:
        self.had_room = False

    def settled(self) -> None:
        self.outcomes.append(b"")


def broken(query: Query) -> None:
    raise StanzaError(StanzaCondition.NOT_ALLOWED)


def later(query: Query) -> None:
    query.fail(KeyError("x"))


TROUBLE = Feature(name="trouble", iq_get={("urn:x", "broken"): broken, ("urn:x", "later"): later})


@dataclass
class World:
    router: Router
    mailbox: Mailbox
    placed: list[tuple[Placed, bytes]]

    def route(self, data: str, to: str | None, count: int = 1) -> list[bytes]:
        """The outcomes of one stanza of Romeo's; a StanzaError counts as one."""
        inbound = Stanza(count)
        try:
            self.router.route(peek(data.encode()), JID.parse(to) if to else None, inbound)
        except StanzaError as error:
            return [str(error.condition).encode()]
        eventually(lambda: inbound.outcomes, "an outcome")
        return inbound.outcomes


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    journal = Journal(redis_url)
    journal.start()
    mailbox = Mailbox(journal, node="here", smacks=SmacksSettings(), offline=OfflineSettings())
    Accounts(journal).create("juliet@localhost", {"salt": "x"})
    placed: list[tuple[Placed, bytes]] = []
    router = Router(
        node="here", domains=frozenset({"localhost"}), mailbox=mailbox, features=Features((*FEATURES, TROUBLE)),
        settings=read(), placed=lambda entry, stanza: placed.append((entry, stanza)), recheck=lambda user: None,
    )  # fmt: skip
    yield World(router, mailbox, placed)
    journal.stop()


def bind(world: World, resource: str, node: str = "here") -> None:
    mailbox = Mailbox(world.mailbox.journal, node=node, smacks=SmacksSettings(), offline=OfflineSettings())
    jid = f"juliet@localhost/{resource}"
    mailbox.bind(
        user="juliet@localhost", resource=resource, sid=resource, owner=f"{node}/1", jid_xml=jid,
        user_xml="juliet@localhost",
    )  # fmt: skip


CHAT = "<message type='chat'><body>x</body></message>"
PING = f"<iq type='get' id='i'><ping xmlns='{ns.PING}'/></iq>"


def test_a_message_for_a_session_of_this_node_is_placed_with_its_bytes(world: World) -> None:
    bind(world, "phone")

    outcomes = world.route(CHAT, "juliet@localhost/phone")
    ((entry, stanza),) = world.placed

    assert ([b""], "phone", 1) == (outcomes, entry.sid, entry.position)
    assert b"from='romeo@localhost/orchard' to='juliet@localhost/phone'" in stanza


def test_a_message_for_a_session_of_another_node_is_settled_and_not_placed_here(world: World) -> None:
    bind(world, "tablet", node="there")

    assert [b""] == world.route(CHAT, "juliet@localhost/tablet")
    assert [] == world.placed


def test_the_same_message_again_is_settled_and_taken_once(world: World) -> None:
    bind(world, "phone")

    outcomes = [world.route(CHAT, "juliet@localhost/phone", count=7) for _ in range(2)]

    assert [[b""], [b""]] == outcomes
    assert 1 == len(world.placed)


def test_a_refused_message_is_answered_once_from_whom_it_was_meant_for(world: World) -> None:
    (reply,) = world.route(CHAT, "nobody@localhost")

    assert b"service-unavailable" in reply
    assert b"from='nobody@localhost'" in reply and b"to='romeo@localhost/orchard'" in reply


ANSWERS = {
    "a ping to the server": (PING, "localhost", b"type='result'"),
    "a ping to the own account": (PING, None, b"type='result'"),
    "a ping to the push service": (PING, "push.localhost", b"type='result'"),
    "somebody else's account": (PING, "juliet@localhost", b"service-unavailable"),
    "another server": (PING, "elsewhere.example", b"remote-server-not-found"),
    "what nobody serves": ("<iq type='get' id='i'><x xmlns='urn:y'/></iq>", "localhost", b"service-unavailable"),
    "a get for what is only set": ("<iq type='set' id='i'><broken xmlns='urn:x'/></iq>", None, b"service-unavailable"),
    "a handler that refuses": ("<iq type='get' id='i'><broken xmlns='urn:x'/></iq>", None, b"not-allowed"),
    "a handler that fails": ("<iq type='get' id='i'><later xmlns='urn:x'/></iq>", None, b"internal-server-error"),
    "a result to the server": ("<iq type='result' id='i'/>", "localhost", b""),
    "two payloads": ("<iq type='get' id='i'><a xmlns='u'/><b xmlns='u'/></iq>", "localhost", b"bad-request"),
    "presence for a stranger": ("<presence/>", "x@elsewhere.example", b""),
    "an unknown presence": ("<presence type='odd'/>", "juliet@localhost", b"bad-request"),
    "a message to the server": (CHAT, "localhost", b"service-unavailable"),
    "an error to the server": ("<message type='error'/>", "localhost", b""),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_a_stanza_has_one_outcome(world: World, what: str) -> None:
    data, to, expected = ANSWERS[what]

    (outcome,) = world.route(data, to)

    assert expected in outcome if expected else outcome == b""


def test_what_a_shape_means_is_asked_once_and_only_for_typical_ones(world: World) -> None:
    asked: list[str] = []

    def note(event: StanzaTraits) -> None:
        asked.append(event.stanza.raw.decode())
        event.is_typical = not event.stanza.has("urn:x")

    features = Features((Feature(name="notes", hooks=(On(StanzaTraits, note),)),))
    router = Router(
        node="here", domains=frozenset({"localhost"}), mailbox=world.mailbox, features=features, settings=read(),
        placed=lambda entry, stanza: None, recheck=lambda user: None,
    )  # fmt: skip
    shapes = [
        "<message><body>1</body></message>",
        "<message><body>2</body></message>",
        "<message type='chat'><body>3</body></message>",
        "<message><y xmlns='urn:x'/></message>",
        "<message><y xmlns='urn:x'/></message>",
        f"<message><{'z' * 600}/></message>",
        f"<message><{'z' * 600}/></message>",
    ]
    for count, shape in enumerate(shapes, 1):
        router.route(peek(shape.encode()), JID.parse("juliet@localhost"), Stanza(count))

    assert [shapes[0], *shapes[2:]] == asked
