"""Copies (XEP-0280) for a device that is asleep: in order, once, and what wakes it."""

from collections.abc import Iterator

import pytest

from gateway.xmpp import ns
from tests.scenarios.copies import BODY, CHATSTATE, devices, romeo, seen, tell
from tests.support.exchange import (
    MESSAGE,
    PRESENCE,
    copy_of,
    enable_carbons,
    everything,
    request,
    shown,
)
from tests.support.phone import Phone, online, sm
from tests.support.pieces import Pieces, pieces
from tests.support.processes import Server

# Sleep and resumption


def asleep(server: Server, phone: Phone) -> None:
    """The link breaks when everything was acknowledged; the server notices."""
    everything(phone)
    phone.ack()
    phone.handled()
    phone.cut()


def back(server: Server, phone: Phone) -> Phone:
    """Resumes with what the phone has."""
    again = Phone(server, phone.account)
    assert sm("resumed") == again.resume(phone.session_id, phone.inbound).tag
    again.jid = phone.jid
    return again


def test_a_device_asleep_gets_its_copies_in_order_with_their_time_and_goes_on(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)
    asleep(server, tablet)

    for number, to in enumerate((phone.jid, tablet.jid, phone.jid)):
        tell(friend, f"<message to='{to}' type='chat'><body>m{number}</body></message>")
    tell(phone, f"<message to='{friend.jid}' type='chat'><body>m3</body></message>")
    again = back(server, tablet)
    messages = everything(again)
    tell(friend, f"<message to='{phone.jid}' type='chat'><body>live</body></message>")
    (live,) = everything(again)

    assert ["received: m0", "m1", "received: m2", "sent: m3"] == shown(again, messages)
    late = [copy_of(messages[index], again).delay for index in (0, 2, 3)]
    assert ["localhost"] * 3 == [delay.get("from") for delay in late if delay is not None]
    assert ("received", "live", None) == (lambda copy: (copy.way, copy.body, copy.delay))(copy_of(live, again))


def test_a_copy_that_was_not_acknowledged_comes_again_as_it_was(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)
    everything(tablet)
    tablet.ack()
    had = tablet.inbound
    tell(friend, f"<message to='{phone.jid}' type='chat'>{BODY}</message>")
    (first,) = everything(tablet)
    tablet.cut()

    again = Phone(server, tablet.account)
    again.resume(tablet.session_id, had)
    again.jid = tablet.jid
    (second,) = everything(again)

    assert copy_of(first, tablet).body == copy_of(second, again).body == "hello"


def test_a_message_sent_again_after_a_resumption_is_copied_once(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)
    message = f"<message to='{friend.jid}' type='chat' id='m'>{BODY}</message>"
    had = phone.handled()
    phone.send(message)
    assert ["sent: hello"] == shown(tablet, [tablet.skip_to(MESSAGE, PRESENCE)])
    phone.cut()

    again = Phone(server, phone.account)
    resumed = again.resume(phone.session_id, phone.inbound)
    for _ in range(had + 1 - int(resumed.get("h", ""))):
        again.send(message)
    everything(again)

    assert ([], ["hello"]) == (seen(tablet), seen(friend))


def test_copies_go_on_when_the_gateway_was_killed(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    everything(tablet)
    server.kill("gateway")
    server.wait_accepting()
    friend = romeo(server)

    tell(friend, f"<message to='{phone.jid}' type='chat'><body>while away</body></message>")
    again = back(server, tablet)
    before = shown(again, everything(again))
    tell(friend, f"<message to='{phone.jid}' type='chat'><body>afterwards</body></message>")

    assert ["received: while away", "received: afterwards"] == [*before, *seen(again)]


# Pushes


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    """A server whose push events nobody takes."""
    directory = tmp_path_factory.mktemp("carbons")
    service_account = directory / "service-account.json"
    service_account.write_text("{}")
    settings = {
        "smacks": {"smacks_max_hibernation_time": 600},
        "push.apps.chat": {"provider": "fcm", "service_account_file": str(service_account)},
    }
    with pieces(directory, settings=settings) as server:
        server.add_accounts(10)
        yield server


def register(phone: Phone) -> None:
    fields = {"FORM_TYPE": ns.PUBSUB_PUBLISH_OPTIONS, "app": "chat", "token": "t"}
    form = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in fields.items())
    answer = request(
        phone,
        "set",
        f"<enable xmlns='{ns.PUSH}' jid='push.localhost' node='n'>"
        f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{form}</x></enable>",
    )
    assert "result" == answer.get("type")


def test_a_received_copy_wakes_a_device_asleep_and_a_sent_one_does_not(house: Pieces) -> None:
    account = house.account()
    phone, tablet = (enable_carbons(online(house, account, name)) for name in ("phone", "tablet"))
    register(tablet)
    friend = romeo(house)
    asleep(house, tablet)
    house.wait(lambda: "asleep" == house.session(account.jid, tablet.session_id).get("state"), "the tablet to sleep")

    tell(phone, f"<message to='{friend.jid}' type='chat'>{BODY}</message>")
    after_sent = house.events(account.jid)
    tell(friend, f"<message to='{phone.jid}' type='chat'>{CHATSTATE}</message>")
    after_chatstate = house.events(account.jid)
    tell(friend, f"<message to='{phone.jid}' type='chat'>{BODY}</message>")

    assert [] == after_sent == after_chatstate
    assert [("queued", "message")] == house.events(account.jid)
