"""slixmpp as it is marks what it has shown: the sender hears of it, and the badge of the account's phone goes down."""

import secrets
from collections.abc import Iterator

import pytest

from tests.support.device_clients import DeviceLibrary, device
from tests.support.processes import Server, running
from tests.support.sandbox import WITH_SANDBOX, accepted_pushes

MARKERS: DeviceLibrary = "slixmpp_markers"


@pytest.fixture(scope="module")
def waking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose apps are at the push sandbox."""
    with running(tmp_path_factory.mktemp("markers"), arguments=WITH_SANDBOX) as server:
        server.stock_accounts(4)
        yield server


def test_what_one_device_has_shown_is_not_on_the_badge_of_the_other(waking: Server) -> None:
    account, token = waking.account(), secrets.token_hex(32)
    with device(MARKERS, waking, waking.account(), "orchard") as friend:
        with (
            device(MARKERS, waking, account, "phone") as phone,
            device(MARKERS, waking, account, "desktop") as desktop,
        ):
            assert "enabled" == phone.ask("push", app="demo-ios", token=token)
            friend.say(account.jid, "seen on the desktop")
            for one in (phone, desktop):
                one.wait("message")
            desktop.ask("displayed", to=friend.account.jid, id="m1")
            marker = friend.wait("marker")
            phone.ask("drop")
        friend.say(account.jid, "not seen yet")
        waking.wait(lambda: bool(accepted_pushes(waking, token)), "the push")
        (push,) = accepted_pushes(waking, token)

    assert (desktop.jid, "m1") == (marker["sender"], marker["id"])
    assert 1 == push["payload"]["aps"]["badge"]
