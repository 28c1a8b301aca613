"""What one device shows or answers is off the badge of the others, and a push that waits for it is not sent."""

from collections.abc import Iterator

import pytest

from gateway.mailbox.pushes import Cancelled, Pushes, Send
from gateway.xmpp import ns
from tests.support.exchange import everything, request
from tests.support.phone import Phone, online, stanza
from tests.support.pieces import Pieces
from tests.support.waking import events_of, journal_of, sleeps, unread_of, waking, watched

MESSAGE, PRESENCE = stanza("message"), stanza("presence")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    with waking(tmp_path_factory.mktemp("unread")) as server:
        yield server


class Scene:
    """A phone that sleeps, a desktop of the same account that is there, and a friend."""

    def __init__(self, house: Pieces) -> None:
        self.house = house
        self.account = house.account()
        self.phone = watched(house, self.account)
        sleeps(house, self.phone)
        self.desktop = online(house, self.account, "desktop")
        self.friend = online(house, house.account(), "friend")

    @property
    def unread(self) -> int | None:
        return unread_of(self.house, self.account)

    def tells(self, *inner: str, sender: Phone | None = None) -> list[str]:
        """Messages reach the desktop; answers their archive ids."""
        for each in inner:
            (sender or self.friend).send(f"<message to='{self.account.jid}' type='chat'>{each}</message>")
        everything(sender or self.friend)
        came = everything(self.desktop)
        ids = [message.find(f"{{{ns.STANZA_ID}}}stanza-id") for message in came]
        return [id_.get("id", "") for id_ in ids if id_ is not None]

    def says(self, inner: str, to: str = "", *, by: Phone | None = None, type_: str = "chat") -> None:
        """The desktop (or another phone) sends something to the friend (or somebody else)."""
        sender = by or self.desktop
        sender.send(f"<message to='{to or self.friend.account.jid}' type='{type_}'>{inner}</message>")
        everything(sender)

    def publishes(self, chat: str, by: str, id_: str) -> str:
        """The desktop says how far the chat has been displayed (XEP-0490); answers the type of the answer."""
        payload = (
            f"<displayed xmlns='{ns.DISPLAYED}'><stanza-id xmlns='{ns.STANZA_ID}' by='{by}' id='{id_}'/></displayed>"
        )
        item = f"<publish node='{ns.DISPLAYED}'><item id='{chat}'>{payload}</item></publish>"
        return request(self.desktop, "set", f"<pubsub xmlns='{ns.PUBSUB}'>{item}</pubsub>").get("type", "")


@pytest.fixture
def scene(house: Pieces) -> Scene:
    return Scene(house)


BODY = "<body>hello</body>"
DISPLAYED = f"<displayed xmlns='{ns.MARKERS}' id='m'/>"


def test_a_marker_of_one_device_clears_the_badge_of_the_other(scene: Scene) -> None:
    scene.tells(BODY, BODY)
    before = scene.unread
    scene.says(DISPLAYED)
    after = scene.unread
    scene.tells(BODY)

    assert (2, 0, 1) == (before, after, scene.unread)


def test_a_marker_to_the_full_jid_is_for_the_same_conversation(scene: Scene) -> None:
    scene.tells(BODY)
    scene.says(DISPLAYED, scene.friend.jid)

    assert 0 == scene.unread


def test_a_chat_that_is_published_as_displayed_is_read_as_far_as_it_says(scene: Scene) -> None:
    ids = scene.tells(BODY, BODY, BODY)
    friend, account = scene.friend.account.jid, scene.account.jid
    counts = []
    for chat, by, id_ in (
        ("nobody@localhost", account, ids[2]),
        (friend, account, ids[1]),
        (friend, account, ids[0]),
        (friend, account, ids[2]),
    ):
        assert "result" == scene.publishes(chat, by, id_)
        counts.append(scene.unread)

    assert [3, 1, 1, 0] == counts


@pytest.mark.parametrize("by", ["room@rooms.localhost", "not a jid@@"])
def test_an_id_that_somebody_else_gave_means_all_there_is(scene: Scene, by: str) -> None:
    scene.tells(BODY, BODY)
    scene.publishes(scene.friend.account.jid, by, "1-1")

    assert 0 == scene.unread


def test_an_id_of_nobody_in_particular_is_taken_for_the_accounts_own(scene: Scene) -> None:
    ids = scene.tells(BODY, BODY)
    payload = f"<displayed xmlns='{ns.DISPLAYED}'><stanza-id xmlns='{ns.STANZA_ID}' id='{ids[0]}'/></displayed>"
    item = f"<publish node='{ns.DISPLAYED}'><item id='{scene.friend.account.jid}'>{payload}</item></publish>"
    request(scene.desktop, "set", f"<pubsub xmlns='{ns.PUBSUB}'>{item}</pubsub>")

    assert 1 == scene.unread


@pytest.mark.parametrize(
    "payload",
    [
        f"<displayed xmlns='{ns.DISPLAYED}'/>",
        f"<displayed xmlns='{ns.DISPLAYED}'><stanza-id xmlns='{ns.STANZA_ID}'/></displayed>",
        f"<x:displayed xmlns:x='{ns.DISPLAYED}'>text<x:y/></x:displayed>",
    ],
)
def test_what_names_no_message_means_all_there_is(scene: Scene, payload: str) -> None:
    scene.tells(BODY)
    item = f"<publish node='{ns.DISPLAYED}'><item id='{scene.friend.account.jid}'>{payload}</item></publish>"
    answer = request(scene.desktop, "set", f"<pubsub xmlns='{ns.PUBSUB}'>{item}</pubsub>")

    assert "result" == answer.get("type")
    assert 0 == scene.unread


@pytest.mark.parametrize("chat", ["@", "a@b@c", "no one@localhost"])
def test_an_item_whose_id_is_no_jid_is_kept_and_means_nobody(scene: Scene, chat: str) -> None:
    scene.tells(BODY)

    assert "result" == scene.publishes(chat, scene.account.jid, "1-1")
    assert 1 == scene.unread


def test_an_answer_shows_that_the_conversation_was_seen(scene: Scene) -> None:
    scene.tells(BODY)
    scene.says("<body>yes</body>")

    assert 0 == scene.unread


def test_a_chat_state_or_a_receipt_shows_nothing(scene: Scene) -> None:
    scene.tells(BODY)
    scene.says(f"<composing xmlns='{ns.CHATSTATES}'/>")
    scene.says(f"<received xmlns='{ns.RECEIPTS}' id='m'/>")
    scene.says(f"<displayed xmlns='urn:example' id='m'/>{DISPLAYED}", type_="error")

    assert 1 == scene.unread


def test_a_correction_is_no_message_more(scene: Scene) -> None:
    scene.tells(BODY, f"{BODY}<replace xmlns='{ns.CORRECTION}' id='m'/>")

    assert 1 == scene.unread


def test_others_cannot_say_what_an_account_has_seen(scene: Scene, house: Pieces) -> None:
    stranger = online(house, house.account(), "stranger")
    scene.tells(BODY)
    for sender in (scene.friend, stranger):
        scene.tells(DISPLAYED, f"<displayed xmlns='{ns.MARKERS}' id='m'><x/></displayed>", sender=sender)
        scene.says(DISPLAYED, scene.friend.jid, by=sender)

    assert 1 == scene.unread


def test_a_push_that_waits_is_cancelled_when_the_message_was_seen_elsewhere(scene: Scene) -> None:
    scene.tells(BODY)
    (event,) = events_of(scene.house, scene.account)
    scene.says(DISPLAYED)
    with journal_of(scene.house) as journal:
        claimed = Pushes(journal).claim(event, floor_ms=0)

    assert Cancelled("read-elsewhere") == claimed


def test_a_push_tells_what_is_unread_and_what_waits_for_the_device(scene: Scene) -> None:
    scene.tells(BODY, BODY)
    scene.says(DISPLAYED)
    scene.tells(BODY)
    (event,) = events_of(scene.house, scene.account)
    with journal_of(scene.house) as journal:
        claimed = Pushes(journal).claim(event, floor_ms=0)

    assert isinstance(claimed, Send)
    assert (1, 3) == (claimed.unread, claimed.count)
