"""XEP-0191 in the mailbox: whom a list means, and what an operation does that meets somebody who is on one."""

from __future__ import annotations

import pytest

from gateway.mailbox import keys
from gateway.mailbox.blocklists import Blocklists, Change
from gateway.mailbox.model import Status
from tests.mailbox.world import JULIET, Client, World, a_message

PUSH = b"<block xmlns='urn:xmpp:blocking'/>"


def block(client: Client, *jids: str, most: int = 1000) -> object:
    return Blocklists(client.world.mailbox).block(client.grip, client.user, jids, push=PUSH, most=most)


def unblock(client: Client, *jids: str) -> object:
    return Blocklists(client.world.mailbox).unblock(client.grip, client.user, jids, push=PUSH)


def befriend(world: World, contact: str, subscription: str) -> None:
    """The roster has this contact."""
    world.redis.hset(keys.key(world.at, "roster", JULIET), contact, f'{{"s":"{subscription}"}}')


def told(change: object) -> list[str]:
    """Who has to be told that something has changed."""
    assert isinstance(change, Change)
    return sorted(fields["contact"].decode() for _, fields in change.told)


def listed(client: Client) -> object:
    return Blocklists(client.world.mailbox).fetch(client.grip, client.user)


FORMS = {
    # an entry of the list, a sender, blocked?
    "a full address means that device": ("romeo@localhost/orchard", "romeo@localhost/orchard", True),
    "and no other one": ("romeo@localhost/orchard", "romeo@localhost/garden", False),
    "a bare address means every device": ("romeo@localhost", "romeo@localhost/orchard", True),
    "and the account itself": ("romeo@localhost", "romeo@localhost", True),
    "and nobody whose name begins alike": ("rome@localhost", "romeo@localhost/orchard", False),
    "a domain means everybody there": ("montague.example", "romeo@montague.example/orchard", True),
    "and itself": ("montague.example", "montague.example", True),
    "and its own resources": ("montague.example", "montague.example/echo", True),
    "and not its subdomains": ("montague.example", "romeo@rooms.montague.example/x", False),
    "a resource of a domain means only that": ("montague.example/echo", "montague.example/echo", True),
    "and not the domain": ("montague.example/echo", "montague.example", False),
    "and no user's device of that name": ("montague.example/echo", "romeo@montague.example/echo", False),
    "a domain with an at-sign in a resource": ("montague.example", "montague.example/me@localhost", True),
    "the resource of a domain is no address": ("localhost", "montague.example/me@localhost", False),
    "a slash inside the resource is part of it": ("romeo@localhost/a/b", "romeo@localhost/a/b", True),
    "the own server blocks its other users": ("localhost", "romeo@localhost/orchard", True),
    "and not itself": ("localhost", "localhost", False),
    "and not the own account": ("localhost", f"{JULIET}/phone", False),
    "the own account is never blocked": (JULIET, f"{JULIET}/phone", False),
    "nor one of its devices": (f"{JULIET}/phone", f"{JULIET}/phone", False),
}


@pytest.mark.parametrize("what", FORMS)
def test_whom_an_entry_means(world: World, what: str) -> None:
    entry, sender, is_blocked = FORMS[what]
    phone = world.client()
    block(phone, entry)

    delivered = world.deliver(a_message("hello"), sender=sender)

    assert (Status.BOUNCE if is_blocked else Status.OK) == delivered.status
    assert ([] if is_blocked else [a_message("hello")]) == phone.stanzas()


def test_a_block_holds_whether_the_account_has_a_session_or_not(world: World) -> None:
    phone = world.client()
    block(phone, "romeo@localhost")
    phone.close()

    assert Status.BOUNCE == world.status(a_message("hello"))
    assert [] == world.offline()


def test_a_block_holds_for_every_kind_of_stanza(world: World) -> None:
    phone = world.client()
    block(phone, "romeo@localhost")

    world.deliver(b"<presence/>", kind="p", type="", flags="")
    world.deliver(b"<presence/>", kind="p", type="", flags="", to="phone")
    request = world.status(b"<iq type='get'/>", kind="q", type="", flags="b", to="phone")
    world.deliver(b"<iq type='result'/>", kind="r", type="", flags="", to="phone")
    world.deliver(a_message("to the phone"), to="phone")
    world.deliver(a_message("news"), type="headline", flags="")

    assert Status.BOUNCE == request
    assert [] == phone.stanzas()
    assert "" == phone.marks().get("aside", "").strip("0")


def test_after_the_end_of_a_block_stanzas_come_again(world: World) -> None:
    phone = world.client()
    block(phone, "romeo@localhost", "tybalt@localhost")
    unblock(phone, "romeo@localhost")

    assert Status.OK == world.status(a_message("hello"))
    assert Status.BOUNCE == world.status(a_message("hello"), sender="tybalt@localhost/x")
    assert ["tybalt@localhost"] == listed(phone)


def test_unblocking_nobody_in_particular_unblocks_everybody(world: World) -> None:
    phone = world.client()
    block(phone, "romeo@localhost", "tybalt@localhost")
    unblock(phone)

    assert [] == listed(phone)
    assert Status.OK == world.status(a_message("hello"))


def test_a_list_takes_so_many_and_then_nothing_of_a_request(world: World) -> None:
    phone = world.client()
    block(phone, "a@x.example", "b@x.example", most=3)

    assert "full" == block(phone, "b@x.example", "c@x.example", "d@x.example", most=3)
    assert ["a@x.example", "b@x.example"] == listed(phone)
    assert "full" != block(phone, "a@x.example", "b@x.example", "c@x.example", most=3)
    assert ["a@x.example", "b@x.example", "c@x.example"] == listed(phone)


def test_a_list_fits_into_one_answer_however_long_its_addresses_are(world: World) -> None:
    phone = world.client()
    long = [f"{number:0>1000}@{'x' * 60}.example/{'r' * 1000}" for number in range(200)]

    assert "full" == block(phone, *long)
    assert [] == listed(phone)


def test_devices_that_asked_for_the_list_are_told_and_the_others_are_not(world: World) -> None:
    phone, tablet, laptop = world.client("phone"), world.client("tablet"), world.client("laptop")
    for each in (phone, tablet, laptop):
        each.ack_all()
    listed(phone)
    listed(laptop)

    change = block(phone, "romeo@localhost")

    assert isinstance(change, Change)
    assert {phone.sid, laptop.sid} == {each.sid for each in change.placed}
    assert [] == tablet.stanzas()
    (push,) = laptop.stanzas()
    assert push.startswith(b"<iq type='set' id='block-") and push.endswith(
        b"' to='juliet@localhost/laptop'>" + PUSH + b"</iq>"
    )


def test_a_device_asleep_is_told_when_it_is_back(world: World) -> None:
    phone, tablet = world.client("phone"), world.client("tablet")
    listed(tablet)
    tablet.ack_all()
    tablet.hibernate()
    block(phone, "romeo@localhost")

    again = tablet.taken_over(tablet.resume(int(tablet.marks()["acked"]) - int(tablet.marks()["base"])))

    assert [True] == [PUSH in each for each in again.stanzas()]


def test_a_request_sent_again_after_a_lost_connection_tells_once(world: World) -> None:
    phone = world.client()
    listed(phone)
    phone.ack_all()
    request = (JULIET, phone.sid, phone.grip.epoch, "r1", PUSH, 10, 100, 100, "romeo@localhost")

    first = world.call("block", *request)
    second = world.call("block", *request)

    assert first == second
    assert 1 == len(phone.stanzas())


@pytest.mark.parametrize("act", [block, unblock])
def test_a_session_of_another_connection_changes_nothing(world: World, act: object) -> None:
    phone = world.client()
    block(phone, "romeo@localhost")
    phone.hibernate()
    phone.resume(0)

    assert "stale" == act(phone, "tybalt@localhost")  # type: ignore[operator]
    assert "stale" == listed(phone)
    assert {b"romeo@localhost"} == world.redis.smembers(keys.key(world.at, "blocked", JULIET))


ROSTER = {"both@x.example": "both", "from@x.example": "from", "to@x.example": "to", "none@x.example": "none"}

CONCERNED = {
    "nobody on the roster": (["a@x.example"], []),
    "who sees one": (["from@x.example"], ["from@x.example"]),
    "no subscription": (["none@x.example"], []),
    "several": (["both@x.example", "from@x.example", "b@x.example"], ["both@x.example", "from@x.example"]),
    "a device": (["both@x.example/home"], ["both@x.example/home"]),
    "a domain": (["x.example"], ["both@x.example", "from@x.example", "to@x.example"]),
    "a domain and one there": (["x.example", "to@x.example"], ["both@x.example", "from@x.example", "to@x.example"]),
    "another domain": (["y.example"], []),
}  # fmt: skip


@pytest.mark.parametrize("what", CONCERNED)
def test_contacts_whom_a_block_concerns_are_told_when_it_begins_and_when_it_ends(world: World, what: str) -> None:
    jids, concerned = CONCERNED[what]
    phone = world.client()
    for contact, subscription in ROSTER.items():
        befriend(world, contact, subscription)

    began = told(block(phone, *jids))
    again = told(block(phone, *jids))
    ended = told(unblock(phone))

    assert (concerned, [], concerned) == (began, again, ended)


def test_who_stays_blocked_by_another_entry_is_not_told_of_an_end(world: World) -> None:
    phone = world.client()
    befriend(world, "both@x.example", "both")
    block(phone, "x.example")

    assert [] == told(block(phone, "both@x.example"))
    assert [] == told(unblock(phone, "both@x.example"))
    assert ["both@x.example"] == told(unblock(phone, "x.example"))


def test_a_list_that_is_full_tells_nobody_anything(world: World) -> None:
    phone = world.client()
    befriend(world, "both@x.example", "both")

    assert "full" == block(phone, "both@x.example", "a@x.example", most=1)
    assert [] == world.sweep.outbox(world.bucket)


def test_who_got_directed_presence_is_told_too(world: World) -> None:
    phone, tablet = world.client("phone"), world.client("tablet")
    for jid in ("romeo@localhost/orchard", "paris@localhost"):
        world.call("direct", phone.sid, phone.grip.epoch, jid, "1")

    change = block(tablet, "romeo@localhost")

    assert isinstance(change, Change)
    assert [{"user": JULIET.encode(), "contact": b"romeo@localhost/orchard", "sid": phone.sid.encode()}] == [
        fields for _, fields in change.told
    ]
    assert {b"paris@localhost"} == world.redis.smembers(keys.key(world.at, "directed", phone.sid))


def test_the_list_goes_with_the_account(world: World) -> None:
    block(world.client(), "romeo@localhost")
    world.accounts.remove(JULIET)

    assert not world.redis.exists(keys.key(world.at, "blocked", JULIET))
