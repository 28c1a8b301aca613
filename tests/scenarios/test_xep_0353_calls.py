"""A call rings on phones that sleep, and those that rang are told when it is over: by whom it may be ended."""

import json
from collections.abc import Iterator

import pytest

from gateway.mailbox.pushes import Pushes, Send, Told
from gateway.xmpp import ns
from tests.support.exchange import everything
from tests.support.phone import Phone, online
from tests.support.pieces import Pieces
from tests.support.waking import events_of, journal_of, sleeps, waking, watched

STORE = f"<store xmlns='{ns.HINTS}'/>"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    with waking(tmp_path_factory.mktemp("calls")) as server:
        yield server


class Scene:
    """A phone and a tablet that sleep, a desktop of the same account, and a caller."""

    def __init__(self, house: Pieces) -> None:
        self.house = house
        self.account = house.account()
        self.phone, tablet = watched(house, self.account), watched(house, self.account, "tablet")
        everything(self.phone)
        self.phone.ack()
        for device in (self.phone, tablet):
            sleeps(house, device)
        self.desktop = online(house, self.account, "desktop")
        self.caller = online(house, house.account(), "orchard")

    def step(self, sender: Phone, verb: str, to: str, id_: str = "c1") -> None:
        """One of them says something about a call; it is in the mailboxes when this returns."""
        inner = f"<{verb} xmlns='{ns.CALLS}' id='{id_}'/>{STORE}"
        sender.send(f"<message to='{to}' type='chat'>{inner}</message>")
        everything(sender)

    def rings(self) -> list[str]:
        """What a worker does with calls; answers which devices ring."""
        rang = []
        with journal_of(self.house) as journal:
            pushes = Pushes(journal)
            for event in events_of(self.house, self.account):
                claimed = pushes.claim(event, floor_ms=0)
                if isinstance(claimed, Send):
                    ringing = claimed.call if claimed.kind == "call" else ""
                    for registration in claimed.registrations:
                        pushes.outcome(event, registration, "delivered", told=Told(call=ringing))
                        rang += [registration.node] if ringing else []
                    pushes.done(event, final=True)
        return sorted(rang)

    @property
    def told(self) -> list[tuple[str, str, list[str]]]:
        """How which call ended, and the devices that are to be told."""
        return [
            (event.reason, event.call, sorted(field.partition("\n")[2] for field in json.loads(event.rang)))
            for event in events_of(self.house, self.account)
            if event.kind == "call-ended"
        ]


@pytest.fixture
def scene(house: Pieces) -> Scene:
    scene = Scene(house)
    scene.step(scene.caller, "propose", scene.account.jid)
    return scene


def test_those_that_rang_are_told_that_the_caller_gave_up(scene: Scene) -> None:
    rang = scene.rings()
    scene.step(scene.caller, "retract", scene.account.jid)

    assert ["phone", "tablet"] == rang
    assert [("call-ended", "c1", ["phone", "tablet"])] == scene.told


@pytest.mark.parametrize("verb", ["proceed", "reject"])
def test_those_that_rang_are_told_that_another_device_answered(scene: Scene, verb: str) -> None:
    scene.rings()
    scene.step(scene.desktop, verb, scene.caller.jid)
    scene.step(scene.caller, "retract", scene.account.jid)

    assert [("call-answered", "c1", ["phone", "tablet"])] == scene.told


def test_an_answer_to_the_own_account_counts_too(scene: Scene) -> None:
    scene.rings()
    scene.step(scene.desktop, "accept", scene.account.jid)

    assert [("call-answered", "c1", ["phone", "tablet"])] == scene.told


def test_the_device_that_takes_the_call_is_not_told(scene: Scene, house: Pieces) -> None:
    scene.rings()
    back = Phone(house, scene.account)
    back.resume(scene.phone.session_id, scene.phone.inbound)
    scene.step(back, "proceed", scene.caller.jid)

    assert [("call-answered", "c1", ["tablet"])] == scene.told


def test_what_strangers_say_about_the_call_ends_nothing(scene: Scene, house: Pieces) -> None:
    scene.rings()
    stranger = online(house, house.account(), "stranger")
    for verb in ("retract", "finish", "reject", "proceed", "accept"):
        scene.step(stranger, verb, scene.account.jid)
        scene.step(stranger, verb, scene.caller.jid)
    scene.step(scene.desktop, "reject", stranger.jid)
    scene.step(scene.caller, "retract", scene.account.jid, "c2")

    assert [] == scene.told


def test_a_call_that_is_over_rings_no_more(scene: Scene) -> None:
    scene.step(scene.caller, "retract", scene.account.jid)

    assert [] == scene.rings()
    assert [] == scene.told


def test_a_call_that_comes_behind_its_own_end_wakes_nobody(scene: Scene) -> None:
    scene.step(scene.caller, "retract", scene.account.jid, "c2")
    before = len(events_of(scene.house, scene.account))
    scene.step(scene.caller, "propose", scene.account.jid, "c2")

    assert before == len(events_of(scene.house, scene.account))
