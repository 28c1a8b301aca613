"""What is said in a room is unread once, however many devices are in it, until a marker is sent to the room: with a
component that plays the room service.
"""

from collections.abc import Iterator

import pytest

from gateway.xmpp import ns
from tests.support.component import BRIDGE, close_components, component, component_settings, leave
from tests.support.exchange import everything
from tests.support.phone import Phone, close_phones, online
from tests.support.pieces import Pieces
from tests.support.processes import free_ports
from tests.support.waking import unread_of, waking, watched

ROOM = f"room@{BRIDGE}"
JOIN = f"<presence to='{ROOM}/julia'><x xmlns='{ns.MUC}'/></presence>"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pieces, int]]:
    """A server, and the port for components."""
    (port,) = free_ports(1)
    with waking(tmp_path_factory.mktemp("rooms"), accounts=10, more=component_settings(port)) as server:
        yield server, port


class Scene:
    """A phone and a desktop of one account, both in the room as julia."""

    def __init__(self, house: Pieces, port: int) -> None:
        self.house, self.account = house, house.account()
        self.rooms = component(port)
        self.phone = watched(house, self.account)
        self.desktop = online(house, self.account, "desktop")
        for device in (self.phone, self.desktop):
            device.send(JOIN)
            everything(device)
            self.rooms.next("presence")

    @property
    def unread(self) -> int | None:
        return unread_of(self.house, self.account)

    def said(self, nick: str, inner: str) -> None:
        """The room tells each device what an occupant said."""
        for device in (self.phone, self.desktop):
            self.rooms.send(
                f"<message from='{ROOM}/{nick}' to='{device.jid}' type='groupchat' id='m'>{inner}</message>"
            )
        self.rooms.round_trip()

    def says(self, device: Phone, inner: str) -> None:
        """A device says something in the room, and the room has it."""
        device.send(f"<message to='{ROOM}' type='groupchat'>{inner}</message>")
        assert device.jid == self.rooms.next("message").get("from")
        everything(device)


@pytest.fixture
def scene(home: tuple[Pieces, int]) -> Iterator[Scene]:
    scene = Scene(*home)
    yield scene
    leave(scene.rooms)
    close_phones()
    close_components()


def test_what_is_said_in_a_room_is_unread_once_until_a_device_has_shown_it(scene: Scene) -> None:
    scene.said("romeo", "<body>1</body>")
    scene.said("nurse", "<body>2</body>")
    before = scene.unread
    scene.says(scene.desktop, f"<displayed xmlns='{ns.MARKERS}' id='m'/>")
    scene.said("julia", f"<displayed xmlns='{ns.MARKERS}' id='m'/>")

    assert (2, 0) == (before, scene.unread)


def test_what_one_says_oneself_is_not_unread_when_the_room_repeats_it(scene: Scene) -> None:
    scene.said("romeo", "<body>1</body>")
    scene.says(scene.desktop, "<body>mine</body>")
    scene.said("julia", "<body>mine</body>")
    answered = scene.unread
    scene.said("romeo", "<body>2</body>")

    assert (0, 1) == (answered, scene.unread)


def test_history_is_not_unread(scene: Scene) -> None:
    scene.said("romeo", f"<body>old</body><delay xmlns='{ns.DELAY}' from='{ROOM}' stamp='2026-01-01T00:00:00Z'/>")
    scene.said("romeo", "<body>new</body>")

    assert 1 == scene.unread


def test_a_marker_of_another_occupant_shows_nothing(scene: Scene) -> None:
    scene.said("romeo", "<body>1</body>")
    scene.said("romeo", f"<displayed xmlns='{ns.MARKERS}' id='m'/>")

    assert 1 == scene.unread
