"""RFC 6121 appendix A: each row of its tables, at the mailbox."""

from __future__ import annotations

import pytest

from gateway.mailbox.subscriptions import plain
from tests.mailbox.people import JULIET, ROMEO, People
from tests.mailbox.world import World

NONE, OUT, IN, BOTH_PENDING = "none", "none + pending out", "none + pending in", "none + pending out/in"
TO, TO_IN, FROM, FROM_OUT, BOTH = "to", "to + pending in", "from", "from + pending out", "both"

# state before: (goes on to the contact, state after)
OUTBOUND = {
    "subscribe": {  # A.2.1
        NONE: (True, OUT),
        OUT: (True, OUT),
        IN: (True, BOTH_PENDING),
        BOTH_PENDING: (True, BOTH_PENDING),
        TO: (True, TO),
        TO_IN: (True, TO_IN),
        FROM: (True, FROM_OUT),
        FROM_OUT: (True, FROM_OUT),
        BOTH: (True, BOTH),
    },
    "unsubscribe": {  # A.2.2
        NONE: (True, NONE),
        OUT: (True, NONE),
        IN: (True, IN),
        BOTH_PENDING: (True, IN),
        TO: (True, NONE),
        TO_IN: (True, IN),
        FROM: (True, FROM),
        FROM_OUT: (True, FROM),
        BOTH: (True, FROM),
    },
    "subscribed": {  # A.2.3; section 3.4: in None, None + Pending Out and To it is a pre-approval
        NONE: (False, NONE + " approved"),
        OUT: (False, OUT + " approved"),
        IN: (True, FROM),
        BOTH_PENDING: (True, FROM_OUT),
        TO: (False, TO + " approved"),
        TO_IN: (True, BOTH),
        FROM: (False, FROM),
        FROM_OUT: (False, FROM_OUT),
        BOTH: (False, BOTH),
    },
    "unsubscribed": {  # A.2.4; section 3.4: it takes a pre-approval back
        NONE: (False, NONE),
        NONE + " approved": (False, NONE),
        OUT: (False, OUT),
        OUT + " approved": (False, OUT),
        IN: (True, NONE),
        BOTH_PENDING: (True, OUT),
        TO: (False, TO),
        TO + " approved": (False, TO),
        TO_IN: (True, TO),
        FROM: (True, NONE),
        FROM_OUT: (True, OUT),
        BOTH: (True, TO),
    },
}

# state before: (is delivered, state after, the server's own answer)
INBOUND = {
    "subscribe": {  # A.3.1
        NONE: (True, IN, ""),
        OUT: (True, BOTH_PENDING, ""),
        IN: (False, IN, ""),
        BOTH_PENDING: (False, BOTH_PENDING, ""),
        TO: (True, TO_IN, ""),
        TO_IN: (False, TO_IN, ""),
        FROM: (False, FROM, "subscribed"),
        FROM_OUT: (False, FROM_OUT, "subscribed"),
        BOTH: (False, BOTH, "subscribed"),
        NONE + " approved": (False, FROM, "subscribed"),
        OUT + " approved": (False, FROM_OUT, "subscribed"),
        TO + " approved": (False, BOTH, "subscribed"),
    },
    "unsubscribe": {  # A.3.2
        NONE: (False, NONE, ""),
        OUT: (False, OUT, ""),
        IN: (True, NONE, ""),
        BOTH_PENDING: (True, OUT, ""),
        TO: (False, TO, ""),
        TO_IN: (True, TO, ""),
        FROM: (True, NONE, ""),
        FROM_OUT: (True, OUT, ""),
        BOTH: (True, TO, ""),
    },
    "subscribed": {  # A.3.3
        NONE: (False, NONE, ""),
        OUT: (True, TO, ""),
        IN: (False, IN, ""),
        BOTH_PENDING: (True, TO_IN, ""),
        TO: (False, TO, ""),
        TO_IN: (False, TO_IN, ""),
        FROM: (False, FROM, ""),
        FROM_OUT: (True, BOTH, ""),
        BOTH: (False, BOTH, ""),
    },
    "unsubscribed": {  # A.3.4
        NONE: (False, NONE, ""),
        OUT: (True, NONE, ""),
        IN: (False, IN, ""),
        BOTH_PENDING: (True, IN, ""),
        TO: (True, NONE, ""),
        TO_IN: (True, IN, ""),
        FROM: (False, FROM, ""),
        FROM_OUT: (True, FROM, ""),
        BOTH: (True, FROM, ""),
    },
}


def rows(table: dict[str, dict[str, object]]) -> list[tuple[str, str]]:
    return [(type_, state) for type_, states in table.items() for state in states]


@pytest.mark.parametrize(("type_", "before"), rows(OUTBOUND))  # type: ignore[arg-type]
def test_an_outbound_stanza_does_what_its_table_says(world: World, type_: str, before: str) -> None:
    people, (goes_on, after) = People(world), OUTBOUND[type_][before]
    phone = people.available(JULIET)
    people.put(JULIET, ROMEO, before)

    answer = people.call(JULIET, "subscription_out", JULIET, ROMEO, type_, "<presence/>", 1000, 5000, 1000)
    has_changed = before != after
    # A request that is refused, or taken back, changes nothing in the item itself.
    is_pushed = has_changed and not (type_ == "unsubscribed" and before in (IN, BOTH_PENDING, TO_IN))

    assert (goes_on, after) == (bool(answer[1]), people.state(JULIET, ROMEO))
    assert is_pushed == any(b"jabber:iq:roster" in each for each in phone.stanzas())
    assert goes_on == (1 == len(people.outbox(JULIET)))


@pytest.mark.parametrize(("type_", "before"), rows(INBOUND))  # type: ignore[arg-type]
def test_an_inbound_stanza_does_what_its_table_says(world: World, type_: str, before: str) -> None:
    people, (is_delivered, after, reply) = People(world), INBOUND[type_][before]
    phone = people.available(JULIET)
    people.put(JULIET, ROMEO, before)
    stanza = plain(ROMEO, JULIET, type_)

    answer = people.call(JULIET, "subscription_in", JULIET, ROMEO, type_, "1-1", stanza, 5000, 1000)

    assert (after, reply) == (people.state(JULIET, ROMEO), answer[1].decode())
    assert is_delivered == (stanza in phone.stanzas())


@pytest.mark.parametrize("type_", ["subscribe", "unsubscribe", "subscribed", "unsubscribed"])
@pytest.mark.parametrize("before", [NONE, OUT, IN, BOTH_PENDING, TO, TO_IN, FROM, FROM_OUT, BOTH])
def test_an_inbound_stanza_that_comes_twice_changes_nothing_more(world: World, type_: str, before: str) -> None:
    people = People(world)
    phone = people.available(JULIET)
    people.put(JULIET, ROMEO, before)
    arguments = (JULIET, ROMEO, type_, "5-1", plain(ROMEO, JULIET, type_), 5000, 1000)
    first = people.call(JULIET, "subscription_in", *arguments)
    after = people.state(JULIET, ROMEO)
    phone.ack_all()

    again = people.call(JULIET, "subscription_in", *arguments)

    assert (after, first[1]) == (people.state(JULIET, ROMEO), again[1])
    assert not [each for each in phone.stanzas() if b"type='" + type_.encode() in each]


def test_of_two_stanzas_the_later_one_counts_whichever_comes_first(world: World) -> None:
    people = People(world)
    for type_, entry in (("unsubscribe", "7-2"), ("subscribe", "7-1")):
        people.call(JULIET, "subscription_in", JULIET, ROMEO, type_, entry, plain(ROMEO, JULIET, type_), 5000, 1000)

    assert NONE == people.state(JULIET, ROMEO)


def test_a_request_for_nobody_is_silently_ignored(world: World) -> None:
    people = People(world)
    people.send(JULIET, "nobody@localhost", "subscribe")

    assert OUT == people.state(JULIET, "nobody@localhost")
    assert [] == people.outbox(JULIET)
