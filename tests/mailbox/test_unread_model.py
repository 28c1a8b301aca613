"""The unread counter against a model: what was received, and not seen since."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.mailbox.unread import Unread
from tests.mailbox.speaking import answers, displays, watched
from tests.mailbox.world import CHAT, World, a_message

CHATS = ("romeo@localhost", "nurse@localhost", "friar@localhost")
DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["receive", "receive", "receive", "marker", "answer", "upto", "correct", "call", "offline"]),
        st.sampled_from(CHATS),
        st.integers(0, 30),
    ),
    max_size=25,
)
_users = itertools.count()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=DEEDS)
def test_the_counter_is_what_was_received_and_not_seen(world: World, deeds: list[tuple[str, str, int]]) -> None:
    user = f"u{next(_users)}@localhost"
    world.account(user)
    client = watched(world, user=user)
    model: list[tuple[str, str]] = []
    known: list[tuple[str, str]] = []
    counter, touched = Unread(world.journal), False

    def receive(chat: str) -> None:
        id_ = world.deliver(a_message("x"), user=user, sender=f"{chat}/x", flags=CHAT + "a").archive_id
        model.append((chat, id_))
        known.append((chat, id_))

    does: dict[str, Callable[[str, int], Any]] = {
        "receive": lambda chat, _: receive(chat),
        "offline": lambda _chat, n: client.presence(None if n % 2 else 0),
        "correct": lambda chat, _: world.deliver(a_message("x"), user=user, sender=f"{chat}/x", flags="swbo"),
        "call": lambda chat, _: world.deliver(a_message("x"), user=user, sender=f"{chat}/x", flags="swub"),
    }
    for what, chat, n in deeds:
        if what in does:
            does[what](chat, n)
        elif what == "upto":
            ids = [id_ for of, id_ in known if of == chat]
            if ids:
                upto = ids[n % len(ids)]
                counter.displayed(user, chat, upto)
                model = [
                    (of, id_) for of, id_ in model if of != chat or known.index((of, id_)) > known.index((chat, upto))
                ]
        else:
            (displays if what == "marker" else answers)(client, chat)
            model = [(of, id_) for of, id_ in model if of != chat]
        touched = touched or bool(known)
        assert (len(model) if touched else None) == counter.total(user)
