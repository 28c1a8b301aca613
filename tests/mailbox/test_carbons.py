"""Copies for an account's other devices (XEP-0280), in the same step as the message itself."""

from __future__ import annotations

import re

import pytest

from gateway.mailbox import entry
from gateway.mailbox.model import Origin, Placed, Status
from tests.mailbox.world import JULIET, Client, World, a_message

COPIED = "swbc"
NURSE = "nurse@localhost"


def two(world: World) -> tuple[Client, Client]:
    """A phone, and a tablet that wants copies."""
    phone, tablet = world.client("phone"), world.client("tablet")
    assert tablet.carbons()
    phone.ack_all()
    tablet.ack_all()
    return phone, tablet


def copies(client: Client) -> list[str]:
    """The way and the text of each copy that waits for a client."""
    found = [each.stanza.decode() for each in client.read() if each.kind == entry.COPY]
    return [f"{re.findall('<(sent|received) ', one)[0]} {re.findall('<body>(.*)</body>', one)[0]}" for one in found]


def say(client: Client, text: str, *, to: str = NURSE, flags: str = COPIED, count: int = 1) -> Status:
    """One of the account's sessions sends a message."""
    return client.world.deliver(
        a_message(text), user=to, flags=flags, sender=f"{client.user}/{client.resource}",
        origin=Origin(client.sid, count, 60_000, client.grip),
    ).status  # fmt: skip


def test_a_message_for_one_device_is_copied_to_the_other(world: World) -> None:
    _phone, tablet = two(world)

    answer = world.deliver(a_message("hello"), to="phone", flags=COPIED)

    assert ["received hello"] == copies(tablet)
    assert (Placed(tablet.sid, "n1", int(tablet.marks()["tail"])),) == answer.copies


def test_a_copy_names_account_device_type_and_the_namespace_of_what_it_holds(world: World) -> None:
    _phone, tablet = two(world)
    world.deliver(a_message("hello"), to="phone", flags=COPIED)

    assert (
        f"<message from='{JULIET}' to='{JULIET}/tablet' type='chat'><received xmlns='urn:xmpp:carbons:2'>"
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>hello</body></message></forwarded>"
        "</received></message>"
    ).encode() == tablet.stanzas()[-1]


@pytest.mark.parametrize(
    ("to", "flags", "is_on"),
    [("", COPIED, True), ("phone", "swb", True), ("phone", COPIED, False)],
    ids=["both have it", "not eligible", "does not want any"],
)
def test_no_copy(world: World, to: str, flags: str, is_on: bool) -> None:
    _phone, tablet = two(world)
    tablet.carbons(is_on)

    world.deliver(a_message("hello"), to=to, flags=flags)

    assert [] == copies(tablet)


def test_a_message_that_nobody_took_is_not_copied(small: World) -> None:
    _phone, tablet = two(small)
    statuses = [small.status(a_message(str(n)), to="phone", flags=COPIED) for n in range(8)]

    assert Status.FULL == statuses[-1]
    assert [f"received {n}" for n in range(7)] == tablet.all_that(copies)


def test_what_waits_offline_is_copied_to_nobody(world: World) -> None:
    quiet = world.client("quiet", priority=None)
    quiet.carbons()

    assert Status.OFFLINE == world.status(a_message("hello"), flags=COPIED)
    assert [] == copies(quiet)


def test_what_a_device_sends_is_copied_to_the_others_whatever_becomes_of_it(world: World) -> None:
    world.account(NURSE)
    phone, tablet = two(world)
    phone.carbons()

    assert Status.OFFLINE == say(phone, "hello")
    assert ["sent hello"] == copies(tablet)
    assert [] == copies(phone)


def test_what_was_refused_or_came_twice_is_not_copied_again(world: World) -> None:
    phone, tablet = two(world)
    refused = say(phone, "one")
    world.account(NURSE)
    taken = say(phone, "one")
    again = say(phone, "one")

    assert (Status.NO_ACCOUNT, Status.OFFLINE, Status.DUPLICATE) == (refused, taken, again)
    assert ["sent one"] == copies(tablet)


def test_a_message_to_the_own_account_is_copied_to_no_device_that_has_it(world: World) -> None:
    phone, tablet = two(world)
    phone.carbons()
    quiet = world.client("quiet", priority=-1)
    quiet.carbons()
    say(phone, "note", to=JULIET)

    assert [a_message("note")] == phone.stanzas()[-1:] == tablet.stanzas()[-1:]
    assert ([], [], ["received note"]) == (copies(phone), copies(tablet), copies(quiet))


def test_copies_have_no_fate_and_wake_only_for_what_somebody_else_wrote(world: World) -> None:
    world.account(NURSE)
    phone, tablet = two(world)
    tablet.register()
    tablet.hibernate()
    say(phone, "mine")
    after_mine = world.reasons()
    world.deliver(a_message("yours"), to="phone", flags=COPIED)

    assert ([], ["queued"]) == (after_mine, world.reasons())
    phone.ack_all()
    awake = tablet.taken_over(tablet.resume(int(tablet.marks()["acked"])))
    assert ["sent mine", "received yours"] == copies(awake)
    awake.ack_all()
    assert {"accepted": 1, "acked": 1} == world.fates()


def test_copies_that_were_not_acknowledged_end_with_the_session(world: World) -> None:
    phone, tablet = two(world)
    world.deliver(a_message("hello"), to="phone", flags=COPIED)
    phone.ack_all()
    phone.close()
    tablet.close()

    assert ([], []) == (world.offline(), world.outbox())
    assert {"accepted": 1, "acked": 1} == world.fates()


@pytest.mark.parametrize(("is_on", "expected"), [(True, ["received hello"]), (False, [])])
def test_a_new_session_of_the_resource_has_inherited_copies_if_it_wants_copies(
    world: World, is_on: bool, expected: list[str]
) -> None:
    _phone, _tablet = two(world)
    world.deliver(a_message("hello"), to="phone", flags=COPIED)
    new = world.bind("tablet")
    new.carbons(is_on)
    new.presence()

    assert expected == copies(new)


def test_a_stale_owner_switches_nothing(world: World) -> None:
    _phone, tablet = two(world)
    tablet.hibernate()
    awake = tablet.taken_over(tablet.resume(int(tablet.marks()["acked"])))

    assert not tablet.carbons(False)
    assert "1" == awake.marks()["carbons"]


def test_a_copy_of_a_chat_state_waits_for_a_client_that_rests_and_one_of_a_message_does_not(world: World) -> None:
    world.account(NURSE)
    phone, tablet = two(world)
    tail = int(tablet.marks()["tail"])
    tablet.rest()
    say(phone, "typing", flags="ch")
    while_typing = tablet.rest()
    say(phone, "hello", count=2)

    assert (tail, tail + 2) == (while_typing, tablet.rest())
