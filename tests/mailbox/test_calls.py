"""Calls by XEP-0353: who rang is told of the end, and nobody rings for what is over."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.mailbox import keys
from gateway.mailbox.model import Status
from gateway.mailbox.push_model import Event, Registration, Send, Told
from gateway.mailbox.push_state import device_of
from gateway.xmpp import ns
from tests.mailbox.speaking import says, watched
from tests.mailbox.world import JULIET, Client, World, a_message, a_world

ROMEO, STRANGER = "romeo@localhost", "stranger@localhost"
ORCHARD = f"{ROMEO}/orchard"


def step(verb: str, call: str = "c1", inner: str = "") -> bytes:
    return f"<message type='chat'><{verb} xmlns='{ns.CALLS}' id='{call}'>{inner}</{verb}></message>".encode()


def propose(world: World, call: str = "c1", *, sender: str = ORCHARD, stanza: bytes = b"") -> Any:
    return world.deliver(stanza or step("propose", call), sender=sender, flags="swub")


def retract(
    world: World, call: str = "c1", *, sender: str = ORCHARD, verb: str = "retract", stanza: bytes = b""
) -> Any:
    return world.deliver(stanza or step(verb, call), sender=sender, flags="sbx")


def ring(world: World) -> list[str]:
    """What a worker does: the events about calls are claimed, and each device is told. Answers those that ring now."""
    told: list[str] = []
    for event in world.events():
        answer = world.pushes.claim(event, floor_ms=0)
        if isinstance(answer, Send):
            for registration in answer.registrations:
                ringing = answer.call if answer.kind == "call" else ""
                world.pushes.outcome(event, registration, "delivered", told=Told(call=ringing))
                if ringing:
                    told.append(registration.node)
            world.pushes.done(event, final=True)
    return sorted(told)


def ended(world: World) -> dict[str, list[str]]:
    """Why, and the nodes of the registrations that are to be told that a call is over."""
    found: dict[str, list[str]] = {}
    for event in world.events():
        if event.kind == "call-ended":
            found.setdefault(event.reason, []).extend(_nodes(event))
    return {why: sorted(nodes) for why, nodes in found.items()}


def _nodes(event: Event) -> list[str]:
    return [field.partition("\n")[2] for field in json.loads(event.rang)]


def kept(world: World) -> dict[str, Any]:
    return {id_: json.loads(call) for id_, call in world.hash("calls", JULIET).items()}


@pytest.fixture
def phone(world: World) -> Client:
    """It sleeps; so does the tablet. The desktop is there, and is never woken."""
    world.account(ROMEO)
    phone = watched(world)
    phone.hibernate()
    watched(world, "tablet").hibernate()
    return phone


@pytest.fixture
def desktop(world: World, phone: Client) -> Client:
    desktop = world.bind("desktop")
    desktop.enable()
    desktop.presence()
    return desktop


# The end


def test_who_rang_is_told_that_the_caller_gave_up(world: World, phone: Client) -> None:
    propose(world)
    rang = ring(world)
    retract(world)

    assert ["phone", "tablet"] == rang
    assert {"call-ended": ["phone", "tablet"]} == ended(world)
    assert ["c1"] == [event.call for event in world.events()]


def test_only_who_rang_is_told(world: World, phone: Client) -> None:
    propose(world)
    ring(world)
    watched(world, "late").hibernate()
    retract(world)

    assert {"call-ended": ["phone", "tablet"]} == ended(world)


@pytest.mark.parametrize("verb", ["proceed", "reject", "accept", "finish"])
def test_who_rang_is_told_that_another_device_answered(world: World, desktop: Client, verb: str) -> None:
    propose(world)
    ring(world)
    says(desktop, ORCHARD, step(verb), flags="sbx")

    assert {"call-answered": ["phone", "tablet"]} == ended(world)


def test_an_answer_may_be_told_to_the_own_devices_alone(world: World, desktop: Client) -> None:
    propose(world)
    ring(world)
    says(desktop, JULIET, step("accept"), flags="sbx")

    assert {"call-answered": ["phone", "tablet"]} == ended(world)


def test_the_device_that_answers_is_not_told(world: World, phone: Client) -> None:
    propose(world)
    ring(world)
    back = phone.taken_over(phone.resume(0))
    says(back, ORCHARD, step("proceed"), flags="sbx")

    assert {"call-answered": ["tablet"]} == ended(world)


def test_when_only_the_device_that_answers_rang_nobody_is_told(world: World, phone: Client) -> None:
    propose(world, "c0")
    ring(world)
    world.call("unregister", JULIET, "push.localhost", "tablet")
    says(phone.taken_over(phone.resume(0)), ORCHARD, step("reject", "c0"), flags="sbx")

    assert {} == ended(world)


def test_an_end_is_told_once(world: World, desktop: Client) -> None:
    propose(world)
    ring(world)
    for _ in range(2):
        says(desktop, ORCHARD, step("reject"), flags="sbx", count=77)
    says(desktop, ORCHARD, step("finish"), flags="sbx")
    retract(world)
    retract(world, verb="finish")

    assert {"call-answered": ["phone", "tablet"]} == ended(world)


def test_what_does_not_end_a_call_ends_none(world: World, desktop: Client) -> None:
    propose(world)
    ring(world)
    says(desktop, ORCHARD, step("ringing"), flags="sbx")
    says(desktop, ORCHARD, step("retract"), flags="sbx")  # of a call of its own
    for verb in ("reject", "proceed", "accept"):
        retract(world, verb=verb)  # the other party's answer, to a call of this account's own
    retract(world, "c2")

    assert {} == ended(world)


def test_a_call_that_is_over_before_its_push_rings_nowhere(world: World, phone: Client) -> None:
    propose(world)
    retract(world)

    assert [] == ring(world)
    assert {} == ended(world)


def test_a_push_that_arrives_after_the_end_is_followed_by_one_that_says_so(world: World, phone: Client) -> None:
    propose(world)
    event = world.events()[0]
    answer = world.pushes.claim(event, floor_ms=0)
    assert isinstance(answer, Send)
    retract(world)
    (registration,) = answer.registrations
    world.pushes.outcome(event, registration, "delivered", told=Told(call=answer.call))

    assert {"call-ended": [registration.node]} == ended(world)


def test_a_call_that_comes_after_its_own_end_rings_nowhere(world: World, phone: Client) -> None:
    retract(world)
    taken = propose(world)
    propose(world, "c2")
    other = [event.kind for event in world.events()]

    assert Status.OK == taken.status
    assert ["call"] * 2 == other
    assert ["", "swub"] == [
        entry.flags.strip("sb") and entry.flags
        for entry in phone.taken_over(phone.resume(0)).read()
        if b"propose" in entry.stanza
    ]


# Of whom


def test_somebody_else_cannot_end_a_call_by_its_id(world: World, phone: Client) -> None:
    retract(world, sender=f"{STRANGER}/x")
    propose(world)
    rang = ring(world)
    for verb in ("retract", "finish"):
        retract(world, sender=f"{STRANGER}/x", verb=verb)

    assert ["phone", "tablet"] == rang
    assert {} == ended(world)


def test_an_answer_to_somebody_else_is_no_answer(world: World, desktop: Client) -> None:
    propose(world)
    ring(world)
    says(desktop, f"{STRANGER}/x", step("reject"), flags="sbx")

    assert {} == ended(world)


def test_two_who_call_under_one_id_are_both_heard(world: World, desktop: Client) -> None:
    propose(world)
    ring(world)
    propose(world, sender=f"{STRANGER}/x")
    ring(world)
    retract(world)
    after_one = ended(world)
    says(desktop, f"{STRANGER}/x", step("reject"), flags="sbx")

    assert {} == after_one
    assert {"call-answered": ["phone", "tablet"]} == ended(world)


def test_another_device_of_the_caller_may_take_it_back(world: World, phone: Client) -> None:
    propose(world)
    ring(world)
    retract(world, sender=f"{ROMEO}/balcony")

    assert {"call-ended": ["phone", "tablet"]} == ended(world)


# How it is written


@pytest.mark.parametrize(
    "written",
    [
        f"<message><j:propose xmlns:j='{ns.CALLS}' id='a&amp;b&apos;'/></message>",
        f'<message xmlns:j="{ns.CALLS}"><j:propose a=">" id="a&amp;b&apos;"><d/></j:propose></message>',
        f"<message><propose\n id = 'a&amp;b&apos;'\txmlns='{ns.CALLS}'></propose></message>",
        f"<message><body>&lt;propose id='no'></body><propose id='a&amp;b&apos;' xmlns='{ns.CALLS}'/></message>",
        f"<message><propose xmlns='urn:example' id='no'/><propose xmlns='{ns.CALLS}' id='a&amp;b&apos;'/></message>",
        f"<message><proposed id='no'/><propose xmlns='{ns.CALLS}' id='a&amp;b&apos;'/></message>",
    ],
)
def test_the_id_is_found_however_it_is_written(world: World, phone: Client, written: str) -> None:
    propose(world, stanza=written.encode())

    assert ["a&b'"] == list(kept(world))


@pytest.mark.parametrize("id_", ["", "i" * 257])
def test_what_cannot_be_an_id_still_rings(world: World, phone: Client, id_: str) -> None:
    propose(world, id_)

    assert [] == list(kept(world))
    assert ["call", "call"] == [event.kind for event in world.events()]


# What strangers can make of it


def test_so_many_calls_are_remembered_and_those_that_ring_stay(world: World, phone: Client) -> None:
    propose(world, "real")
    ring(world)
    for n in range(40):
        retract(world, f"flood{n}", sender=f"{STRANGER}/x")
    retract(world, "real")

    assert 32 == len(kept(world))
    assert {"call-ended": ["phone", "tablet"]} == ended(world)


def test_so_many_callers_of_one_id_are_remembered(world: World, phone: Client) -> None:
    propose(world)
    for n in range(20):
        retract(world, sender=f"s{n}@localhost/x")

    assert 8 == len(kept(world)["c1"]["by"])
    assert kept(world)["c1"]["by"][ROMEO] is False


def test_it_is_forgotten_soon_and_with_the_account(world: World, phone: Client) -> None:
    propose(world)
    key = keys.key(world.at, "calls", JULIET)
    lasting: Any = world.redis.ttl(key)
    world.accounts.remove(JULIET)

    assert 0 < lasting <= 120
    assert not world.redis.exists(key)


def test_an_account_without_push_remembers_no_calls(world: World) -> None:
    client = world.client()
    propose(world)
    retract(world)
    says(client, ORCHARD, step("reject"), flags="sbx")

    assert {} == kept(world)


def test_an_end_for_which_there_is_no_room_is_heard(redis_url: str) -> None:
    with a_world(redis_url, quota=2) as world:
        world.account()
        watched(world).presence(None)
        propose(world)
        world.deliver(a_message("fills it"), sender=ORCHARD)

        assert Status.FULL == retract(world).status
        assert {"c1": {ROMEO: True}} == {id_: call["by"] for id_, call in kept(world).items()}


# A model

_users = itertools.count()
SAID = st.lists(
    st.tuples(
        st.sampled_from(["propose", "retract", "finish", "reject", "proceed", "accept", "ring"]),
        st.sampled_from([ORCHARD, f"{ROMEO}/balcony", f"{STRANGER}/x"]),
        st.sampled_from(["c1", "c2"]),
    ),
    max_size=20,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=SAID)
def test_a_call_is_over_when_all_who_use_its_id_say_so_and_is_told_once(
    world: World, said: list[tuple[str, str, str]]
) -> None:
    user = f"callee{next(_users)}@localhost"
    world.account(user)
    device, at = watched(world, user=user), keys.prefix(user)
    registration = Registration(
        service="push.localhost", node="phone", sid=device.sid, resource="phone", app="chat", token="t0"
    )
    by: dict[str, dict[str, bool]] = {"c1": {}, "c2": {}}
    rings = {"c1": False, "c2": False}
    told: list[str] = []
    for number, (verb, who, id_) in enumerate(said):
        caller = who.partition("/")[0]
        before = bool(by[id_]) and all(by[id_].values())
        if verb == "ring":  # a worker has told the device
            if not before:
                rings[id_] = True
            else:
                told.append(id_)  # it is told the end behind what it was told late
            event = Event(keys.bucket_of(user), "", f"{user}{number}", user, "", "queued", "0", "call", 0)
            begun = f"~{device_of(user, registration.field)}"
            world.redis.hset(keys.key(at, "job", event.id), begun, 1)  # it was begun
            world.pushes.outcome(event, registration, "delivered", told=Told(call=id_))
        elif verb in ("propose", "retract", "finish"):
            flags = "swub" if verb == "propose" else "sbx"
            world.deliver(step(verb, id_), user=user, sender=who, flags=flags)
            if verb == "propose":
                by[id_].setdefault(caller, False)
            elif verb == "retract" or caller in by[id_]:
                by[id_][caller] = True
        else:
            says(world.bind("other", user=user), who, step(verb, id_), flags="sbx")
            if by[id_].get(caller) is False:
                by[id_][caller] = True
        if not before and by[id_] and all(by[id_].values()) and rings[id_]:
            told.append(id_)
            rings[id_] = False
    remembered: Any = world.redis.hgetall(keys.key(at, "calls", user))
    kept = {id_.decode(): json.loads(call)["by"] for id_, call in remembered.items()}
    found: Any = world.redis.xrange(keys.key(at, "events"))
    ends = [fields[b"call"].decode() for _, fields in found if fields[b"user"] == user.encode() and b"call" in fields]

    assert {id_: callers for id_, callers in by.items() if callers} == {k: v for k, v in kept.items() if v}
    assert told == ends
