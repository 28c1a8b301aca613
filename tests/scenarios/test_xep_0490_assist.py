"""Server assist: what a message says of how far its chat was displayed is published, and seen by nobody else."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

import pytest

from gateway.xmpp import ns
from tests.support.exchange import MESSAGE, enable_carbons, everything, request
from tests.support.phone import Phone, online
from tests.support.pieces import Pieces
from tests.support.waking import unread_of, waking, watched

DISPLAYED = f"{{{ns.DISPLAYED}}}displayed"
MARKER = f"<displayed xmlns='{ns.MARKERS}' id='m'/>"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    with waking(tmp_path_factory.mktemp("assist"), more={"pubsub": {"max_item_bytes": 1024}}) as server:
        yield server


class Scene:
    """Two devices of an account, both with carbons, and a friend."""

    def __init__(self, house: Pieces) -> None:
        self.account = house.account()
        self.phone = enable_carbons(watched(house, self.account))
        self.tablet = enable_carbons(online(house, self.account, "tablet"))
        self.friend = online(house, house.account(), "friend")
        for one in (self.phone, self.tablet, self.friend):
            everything(one)

    def says(self, inner: str, id_: str = "1-1", *, to: str = "", more: str = "") -> None:
        """The phone says so in a message to the friend."""
        stanza_id = f"<stanza-id xmlns='{ns.STANZA_ID}' by='{self.account.jid}' id='{id_}'/>"
        assist = f"<displayed xmlns='{ns.DISPLAYED}'>{stanza_id}</displayed>"
        to = to or self.friend.account.jid
        self.phone.send(f"<message to='{to}' type='chat' {more}>{assist}{inner}</message>")
        everything(self.phone)

    def items(self, asker: Phone | None = None) -> dict[str, str]:
        """The node's items: chat -> stanza-id."""
        ask = f"<pubsub xmlns='{ns.PUBSUB}'><items node='{ns.DISPLAYED}'/></pubsub>"
        answer = request(asker or self.tablet, "get", ask, to=self.account.jid)
        found = answer.iter(f"{{{ns.PUBSUB}}}item")
        return {item.get("id", ""): _id(item) for item in found}


def _id(item: Element) -> str:
    stanza_id = item.find(f"{DISPLAYED}/{{{ns.STANZA_ID}}}stanza-id")
    assert stanza_id is not None
    return stanza_id.get("id", "")


@pytest.fixture
def scene(house: Pieces) -> Scene:
    return Scene(house)


def test_the_account_announces_it(scene: Scene) -> None:
    answer = request(scene.phone, "get", f"<query xmlns='{ns.DISCO_INFO}'/>", to=scene.account.jid)

    assert ns.DISPLAYED_ASSIST in {found.get("var") for found in answer.iter(f"{{{ns.DISCO_INFO}}}feature")}


def test_it_is_published_for_the_own_devices_alone(scene: Scene) -> None:
    scene.says(MARKER, "1-1")
    scene.says(MARKER, "2-2")
    refused = request(
        scene.friend,
        "get",
        f"<pubsub xmlns='{ns.PUBSUB}'><items node='{ns.DISPLAYED}'/></pubsub>",
        to=scene.account.jid,
    )

    assert {scene.friend.account.jid: "2-2"} == scene.items()
    assert "error" == refused.get("type")


def test_nobody_else_sees_it(scene: Scene) -> None:
    scene.says(f"{MARKER}<body>hello</body>")
    seen = [*everything(scene.friend), *everything(scene.tablet)]
    archived = f"<query xmlns='{ns.MAM}'/>"
    found = []
    for phone in (scene.phone, scene.friend):
        phone.send(f"<iq type='set' id='mam'>{archived}</iq>")
        found += everything(phone)

    assert [MESSAGE] * 2 == [message.tag for message in seen]
    assert 2 <= len(found)
    for message in seen + found:
        assert not list(message.iter(DISPLAYED))
        assert "hello" == next(message.iter(f"{{{ns.CLIENT}}}body")).text


def test_it_is_exact_where_a_marker_would_not_be(scene: Scene, house: Pieces) -> None:
    for _ in range(3):
        scene.friend.message(scene.account.jid, "hello")
    everything(scene.friend)
    came = everything(scene.phone)
    ids = [message.find(f"{{{ns.STANZA_ID}}}stanza-id") for message in came]
    before = unread_of(house, scene.account)
    scene.says(f"<composing xmlns='{ns.CHATSTATES}'/>", ids[1].get("id", "") if ids[1] is not None else "")

    assert (3, 1) == (before, unread_of(house, scene.account))


def test_an_error_that_quotes_one_publishes_nothing(scene: Scene) -> None:
    scene.phone.send(
        f"<message to='{scene.friend.jid}' type='error'><displayed xmlns='{ns.DISPLAYED}'/>"
        f"<error type='cancel'><gone xmlns='{ns.STANZAS}'/></error></message>"
    )
    everything(scene.phone)

    assert {} == scene.items()
    assert not [each for message in everything(scene.friend) for each in message.iter(DISPLAYED)]


def test_text_between_children_is_refused(scene: Scene) -> None:
    scene.phone.send(f"<message to='{scene.friend.jid}'>x<displayed xmlns='{ns.DISPLAYED}'/></message>")
    (answer,) = everything(scene.phone)

    assert "error" == answer.get("type")
    assert {} == scene.items()


def test_what_cannot_be_published_does_not_hold_the_message_up(scene: Scene) -> None:
    big = f"<displayed xmlns='{ns.DISPLAYED}'><x xmlns='urn:x'>{'x' * 2000}</x></displayed>"
    scene.phone.send(f"<message to='{scene.friend.jid}' type='chat'>{big}<body>hello</body></message>")
    everything(scene.phone)

    assert {} == scene.items()
    assert ["hello"] == [next(each.iter(f"{{{ns.CLIENT}}}body")).text for each in everything(scene.friend)]


def test_a_node_that_a_client_made_otherwise_stays_as_it_is(scene: Scene) -> None:
    payload = f"<displayed xmlns='{ns.DISPLAYED}'><stanza-id xmlns='{ns.STANZA_ID}' id='1-1'/></displayed>"
    publish = f"<publish node='{ns.DISPLAYED}'><item id='x@localhost'>{payload}</item></publish>"
    request(scene.phone, "set", f"<pubsub xmlns='{ns.PUBSUB}'>{publish}</pubsub>")
    scene.says(MARKER, "2-2")

    assert "2-2" == scene.items()[scene.friend.account.jid]
