"""slixmpp as it is: it calls, rings, is taken on one device and heard of on the other; a call wakes who sleeps."""

import secrets
from collections.abc import Iterator

import pytest

from tests.support.device_clients import DeviceClient, DeviceLibrary, device
from tests.support.processes import Server, running
from tests.support.sandbox import WITH_SANDBOX, accepted_pushes

CALLS: DeviceLibrary = "slixmpp_calls"


def steps(client: DeviceClient, event: str = "call") -> list[tuple[str, str]]:
    return [(told["step"], told["sender"]) for told in client.all(event)]


def test_a_call_rings_everywhere_and_is_taken_on_one_device(server: Server) -> None:
    caller_account, account = server.account(), server.account()
    with (
        device(CALLS, server, caller_account, "orchard") as caller,
        device(CALLS, server, account, "phone") as phone,
        device(CALLS, server, account, "tablet") as tablet,
    ):
        for one in (phone, tablet):
            one.ask("carbons", on=True)
        caller.ask("propose", to=account.jid, id="c1")
        asked = [one.wait("call") for one in (phone, tablet)]
        phone.ask("ringing", to=caller.jid, id="c1")
        phone.ask("proceed", to=caller.jid, id="c1")
        caller.wait("call", 2)
        tablet.wait("copy", 2)

    assert [("propose", "c1", caller.jid, ["audio", "video"])] * 2 == [
        (told["step"], told["id"], told["sender"], told["media"]) for told in asked
    ]
    assert [("ringing", phone.jid), ("proceed", phone.jid)] == steps(caller)
    assert [("ringing", phone.jid), ("proceed", phone.jid)] == steps(tablet, "copy")
    assert {"sent"} == {told["way"] for told in tablet.all("copy")}
    assert [("propose", caller.jid)] == steps(phone)


def test_a_caller_who_hangs_up_is_heard_and_so_is_who_does_not_want_to_talk(server: Server) -> None:
    caller_account, account = server.account(), server.account()
    with (
        device(CALLS, server, caller_account, "orchard") as caller,
        device(CALLS, server, account, "phone") as phone,
    ):
        caller.ask("propose", to=account.jid, id="c1")
        caller.ask("retract", to=account.jid, id="c1")
        phone.wait("call", 2)
        caller.ask("propose", to=account.jid, id="c2")
        phone.wait("call", 3)
        phone.ask("reject", to=caller.jid, id="c2")
        caller.wait("call")

    assert ["propose", "retract", "propose"] == [step for step, _ in steps(phone)]
    assert [("reject", phone.jid)] == steps(caller)


@pytest.fixture(scope="module")
def waking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose apps are at the push sandbox."""
    with running(tmp_path_factory.mktemp("calls"), arguments=WITH_SANDBOX) as server:
        server.stock_accounts(8)
        yield server


@pytest.mark.parametrize("app", ["demo-android", "demo-ios"])
def test_a_call_wakes_a_phone_that_sleeps(waking: Server, app: str) -> None:
    caller_account, account, token = waking.account(), waking.account(), secrets.token_hex(32)
    with (
        device(CALLS, waking, caller_account, "orchard") as caller,
        device(CALLS, waking, account, "phone") as phone,
    ):
        assert "enabled" == phone.ask("push", app=app, token=token)
        phone.ask("drop")
        caller.ask("propose", to=account.jid, id="c1")
        waking.wait(lambda: bool(accepted_pushes(waking, token)), "the push")

        assert 1 == len(accepted_pushes(waking, token))


@pytest.mark.parametrize(("how", "kind"), [("retract", "call-ended"), ("reject", "call-answered")])
def test_a_phone_that_rang_is_told_that_the_call_is_over(waking: Server, how: str, kind: str) -> None:
    caller_account, account, token = waking.account(), waking.account(), secrets.token_hex(32)
    with (
        device(CALLS, waking, caller_account, "orchard") as caller,
        device(CALLS, waking, account, "phone") as phone,
        device(CALLS, waking, account, "desktop") as desktop,
    ):
        assert "enabled" == phone.ask("push", app="demo-ios", token=token)
        phone.ask("drop")
        caller.ask("propose", to=account.jid, id="c1")
        waking.wait(lambda: bool(accepted_pushes(waking, token)), "the push that rings")
        if how == "retract":
            caller.ask(how, to=account.jid, id="c1")
        else:
            desktop.ask(how, to=caller.jid, id="c1")
        waking.wait(lambda: len(accepted_pushes(waking, token)) > 1, "the push that says it is over")
        told = [push["payload"]["wakegate"] for push in accepted_pushes(waking, token)]

    assert [("call", "c1"), (kind, "c1")] == [(each["kind"], each["call"]) for each in told]
