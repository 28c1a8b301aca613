"""Lua libraries of builds that have gone are removed, those in use never; and what is removed in error comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.mailbox import library
from gateway.mailbox.journal import Journal
from gateway.mailbox.membership import Membership
from gateway.mailbox.nodes import heartbeats, leave
from workers.sweeper.libraries import Libraries

OLD = "wakegate_1_old0000000"
KEEP_S = 3600


@pytest.fixture
def journal(redis_url: str) -> Iterator[Journal]:
    journal = Journal(redis_url)
    journal.start()
    journal.wait_up(20)
    journal.call("FUNCTION", "FLUSH")
    journal.call("FUNCTION", "LOAD", "REPLACE", library.source())
    yield journal
    journal.call("FUNCTION", "FLUSH")
    journal.stop()


def load(journal: Journal, name: str, function: str) -> None:
    code = f"#!lua name={name}\nredis.register_function('{function}', function() return 1 end)"
    journal.call("FUNCTION", "LOAD", "REPLACE", code)


def loaded(journal: Journal) -> set[str]:
    return {one[1].decode() for one in journal.call("FUNCTION", "LIST")}


def test_a_library_that_nobody_uses_is_removed_after_an_hour(journal: Journal) -> None:
    load(journal, OLD, "wg1_old_deliver")
    load(journal, "somebody_elses", "theirs")
    libraries = Libraries(journal, keep_s=KEEP_S)
    libraries.look(0)
    libraries.look(KEEP_S - 1)
    before = loaded(journal)
    libraries.look(KEEP_S)

    assert {OLD, "somebody_elses", library.name()} == before
    assert {"somebody_elses", library.name()} == loaded(journal)


def test_a_library_that_a_gateway_of_another_build_uses_stays(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(journal, OLD, "wg1_old_deliver")
    with monkeypatch.context() as other_build:
        other_build.setattr(library, "name", lambda: OLD)
        Membership(journal, "old-gateway", heartbeat_s=1).join()
    libraries = Libraries(journal, keep_s=KEEP_S)
    for hour in range(3):
        libraries.look(hour * KEEP_S)
    while_used = loaded(journal)
    leave(journal, "old-gateway", 10)
    for hour in range(3, 5):
        libraries.look(hour * KEEP_S)

    assert OLD in while_used
    assert OLD not in loaded(journal)


def test_a_process_whose_library_was_removed_loads_it_again(journal: Journal) -> None:
    journal.call("FUNCTION", "DELETE", library.name())
    answer = journal.call("FCALL", library.function("present"), 0)

    assert 1 == answer
    assert {} == heartbeats(journal)
