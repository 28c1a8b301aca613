"""XEP-0280 section 6.1 and XEP-0191 section 5 with a component that plays a room service: what comes from occupants,
and how domains and their resources are blocked.
"""

from collections.abc import Iterator

import pytest

from gateway.xmpp import ns
from tests.support.component import BRIDGE, Component, close_components, component, component_settings, leave, tag
from tests.support.exchange import MESSAGE, PRESENCE, copy_of, enable_carbons, error_of, everything, request, shown
from tests.support.phone import Phone, close_phones, online, stanza
from tests.support.pieces import Pieces, pieces
from tests.support.processes import free_ports

ROOM, NICK = f"room@{BRIDGE}", f"room@{BRIDGE}/nick"
BODY = "<body>hello</body>"
OF_ROOM = f"<x xmlns='{ns.MUC_USER}'/>"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pieces, int]]:
    """A server, and the port for components."""
    (port,) = free_ports(1)
    with pieces(tmp_path_factory.mktemp("rooms"), settings=component_settings(port)) as server:
        server.add_accounts(30)
        yield server, port


@pytest.fixture
def rooms(home: tuple[Pieces, int]) -> Iterator[Component]:
    """The room service."""
    connected = component(home[1])
    yield connected
    leave(connected)


@pytest.fixture(autouse=True)
def _no_link_stays_open() -> Iterator[None]:
    yield
    close_phones()
    close_components()


def two_devices(server: Pieces) -> tuple[Phone, Phone]:
    account = server.account()
    phone, tablet = (enable_carbons(online(server, account, name)) for name in ("phone", "tablet"))
    return phone, tablet


FROM_ROOM = {
    # type, content, copied to the device that is not in the room?
    "a private message of an occupant": ("chat", BODY + OF_ROOM, False),
    "a private message without a type": ("normal", BODY + OF_ROOM, False),
    "what is said in the room": ("groupchat", BODY, False),
    "a mediated invitation": ("normal", f"<x xmlns='{ns.MUC_USER}'><invite from='a@b.example'/></x>", True),
    "a direct invitation": ("normal", f"<x xmlns='{ns.CONFERENCE}' jid='{ROOM}'/>", True),
    "a message of a bridge": ("chat", BODY, True),
}


@pytest.mark.parametrize("what", FROM_ROOM)
def test_what_comes_from_a_room_is_copied_only_if_the_room_did_not_send_it_to_all(
    home: tuple[Pieces, int], rooms: Component, what: str
) -> None:
    type_, inner, is_copied = FROM_ROOM[what]
    phone, tablet = two_devices(home[0])

    rooms.send(f"<message from='{NICK}' to='{phone.jid}' type='{type_}' id='m'>{inner}</message>")
    rooms.round_trip()
    original = [message.get("id") for message in everything(phone)]
    copies = [copy_of(message, tablet).message.get("from") for message in everything(tablet)]

    assert (["m"], [NICK] if is_copied else []) == (original, copies)


def test_what_a_user_writes_to_an_occupant_is_copied_to_his_devices(home: tuple[Pieces, int], rooms: Component) -> None:
    phone, tablet = two_devices(home[0])

    phone.send(f"<message to='{NICK}' type='chat'>{BODY}{OF_ROOM}</message>")
    assert phone.jid == rooms.next("message").get("from")
    everything(phone)

    assert ["sent: hello"] == shown(tablet, everything(tablet))


BLOCKED = {
    # an entry of the list, whom it keeps out, whom it does not
    "a domain": (BRIDGE, [BRIDGE, f"{BRIDGE}/echo", ROOM, NICK], []),
    "a resource of a domain": (f"{BRIDGE}/echo", [f"{BRIDGE}/echo"], [BRIDGE, ROOM, f"{ROOM}/echo"]),
    "an occupant": (NICK, [NICK], [ROOM, f"{ROOM}/other", BRIDGE]),
    "a room": (ROOM, [ROOM, NICK], [BRIDGE, f"other@{BRIDGE}/nick"]),
}


@pytest.mark.parametrize("what", BLOCKED)
def test_whom_an_entry_keeps_out(home: tuple[Pieces, int], rooms: Component, what: str) -> None:
    entry, kept_out, let_in = BLOCKED[what]
    phone = online(home[0], home[0].account())
    answer = request(phone, "set", f"<block xmlns='{ns.BLOCKING}'><item jid='{entry}'/></block>")
    assert "result" == answer.get("type")

    for sender in (*kept_out, *let_in):
        rooms.send(f"<message from='{sender}' to='{phone.jid}' type='chat' id='m'><body>{sender}</body></message>")
    refused = [rooms.next("message") for _ in kept_out]
    rooms.round_trip()
    came = [message.findtext(stanza("body")) for message in everything(phone)]

    assert let_in == came
    assert kept_out == [each.get("to") for each in refused]
    assert all(each.find(f"{tag('error')}/{{{ns.STANZAS}}}service-unavailable") is not None for each in refused)


@pytest.mark.parametrize("what", BLOCKED)
def test_whom_the_user_does_not_reach_any_more(home: tuple[Pieces, int], rooms: Component, what: str) -> None:
    entry, kept_out, let_in = BLOCKED[what]
    phone = online(home[0], home[0].account())
    request(phone, "set", f"<block xmlns='{ns.BLOCKING}'><item jid='{entry}'/></block>")

    for to in (*kept_out, *let_in):
        phone.send(f"<message to='{to}' type='chat' id='m'><body>{to}</body></message>")
    refused = [phone.skip_to(MESSAGE, PRESENCE) for _ in kept_out]
    came = [rooms.next("message").get("to") for _ in let_in]

    assert let_in == came
    assert [(to, ("cancel", "not-acceptable")) for to in kept_out] == [(e.get("from"), error_of(e)) for e in refused]


def test_presence_of_a_room_one_has_blocked_does_not_come_and_requests_to_it_come_back(
    home: tuple[Pieces, int], rooms: Component
) -> None:
    phone = online(home[0], home[0].account())
    request(phone, "set", f"<block xmlns='{ns.BLOCKING}'><item jid='{ROOM}'/></block>")

    rooms.send(f"<presence from='{NICK}' to='{phone.jid}'/>")
    rooms.send(f"<iq from='{NICK}' to='{phone.jid}' type='get' id='v'><query xmlns='{ns.VERSION}'/></iq>")
    refused = rooms.next("iq")
    answers = [request(phone, "get", f"<query xmlns='{ns.DISCO_INFO}'/>", to) for to in (ROOM, NICK)]

    assert "error" == refused.get("type")
    assert [] == [each for each in everything(phone, PRESENCE) if each.get("from") == NICK]
    assert [("cancel", "not-acceptable")] * 2 == [error_of(each) for each in answers]
