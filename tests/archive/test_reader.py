"""Pages of an archive that lies in two places, against a plain list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.archive.reader import Page, Wanted
from gateway.mailbox import keys
from gateway.mailbox.archive_ids import LATEST
from gateway.mailbox.archives import Kept, Part
from tests.archive.world import ArchiveWorld, numbered
from tests.mailbox.world import JULIET

PEERS = ("a@localhost/x", "a@localhost/y", "b@localhost", "juliet@localhost/phone")

QUERIED = ("", "a@localhost", "a@localhost/x", "b@localhost", "juliet@localhost", "c@localhost")


def matching(everything: Sequence[Kept], wanted: Wanted) -> list[Kept]:
    """What the standard says, word by word."""
    found = []
    for entry in everything:
        same = entry.peer == wanted.peer if "/" in wanted.peer else entry.peer.split("/")[0] == wanted.peer
        if wanted.above < entry.id < wanted.below and (not wanted.peer or same):
            found.append(entry)
    return found


@dataclass(frozen=True)
class Case:
    """An archive of `peers`, of which `in_sql` are moved and `pruned` gone, and a query."""

    peers: list[str]
    in_sql: int
    pruned: int
    wanted: Wanted
    most: int
    backwards: bool


@st.composite
def cases(draw: st.DrawFn) -> Case:
    peers = draw(st.lists(st.sampled_from(PEERS), max_size=14))
    n = len(peers)
    ids = [0, LATEST, *(entry.id + shift for entry in numbered(n) for shift in (-1, 0, 1))]
    return Case(
        peers,
        draw(st.integers(0, n)),
        draw(st.integers(0, n)),
        Wanted(
            draw(st.sampled_from(ids)),
            draw(st.sampled_from(ids)),
            draw(
                st.sampled_from(["", "a@localhost", "a@localhost/x", "b@localhost", "juliet@localhost", "c@localhost"])
            ),
        ),
        draw(st.integers(0, n + 1)),
        draw(st.booleans()),
    )


def clear(world: ArchiveWorld) -> None:
    at = keys.prefix(JULIET)
    world.mailboxes.redis.delete(keys.key(at, "archive", JULIET))
    world.mailboxes.redis.hdel(keys.key(at, "account", JULIET), "arch_moved", "arch_pruned")
    world.store.erase(JULIET, LATEST - 1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_a_page_is_what_a_plain_list_gives_wherever_the_seam_is(world: ArchiveWorld, case: Case) -> None:
    clear(world)
    everything = [
        Kept(entry.id, peer, entry.stanza) for entry, peer in zip(numbered(len(case.peers)), case.peers, strict=True)
    ]
    world.put(everything)
    world.move(recent=len(everything) - case.in_sql)
    if case.pruned:
        world.moves().prune(JULIET, everything[case.pruned - 1].id)
    expected = matching(everything[case.pruned :], case.wanted)
    page = (expected[-case.most :] if case.most else []) if case.backwards else expected[: case.most]

    assert Page(tuple(page), len(page) == len(expected)) == world.reader.page(
        JULIET, case.wanted, most=case.most, backwards=case.backwards
    )
    assert len(expected) == world.reader.count(JULIET, case.wanted)
    rest = everything[case.pruned :]
    assert ((rest[0].id, rest[-1].id) if rest else None) == world.reader.ends(JULIET)
    ids = [entry.id for entry in everything]
    assert tuple(rest) == (world.reader.find(JULIET, ids) if ids else ())
    assert [entry in rest for entry in everything] == [world.reader.has(JULIET, number) for number in ids]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("at", range(12))
def test_a_move_between_the_steps_of_a_page_leaves_no_gap_and_no_double(
    world: ArchiveWorld, monkeypatch: pytest.MonkeyPatch, at: int, backwards: bool
) -> None:
    """Redis answers two entries at a time here, and after the step number `at` the seam moves on."""
    everything = numbered(12)
    world.put(everything)
    world.move(recent=9)
    reader, archives = world.reader, world.archives
    steps = 0

    def page(user: str, *, above: int, below: int, backwards: bool, most: int, peer: str = "") -> Part:
        nonlocal steps
        part = archives.page(user, above=above, below=below, backwards=backwards, most=min(most, 2), peer=peer)
        steps += 1
        if steps == at:
            world.move(recent=3)
        return part

    monkeypatch.setattr(reader, "_archives", type("Slow", (), {"page": staticmethod(page)})())
    found = reader.page(JULIET, Wanted(), most=11, backwards=backwards)

    assert tuple(everything[1:] if backwards else everything[:11]) == found.entries
    assert not found.is_complete


def test_a_page_of_large_messages_stops_at_about_a_megabyte_and_the_next_goes_on(world: ArchiveWorld) -> None:
    everything = [Kept(e.id, e.peer, b"<message>%b</message>" % (b"x" * 300_000)) for e in numbered(12)]
    world.put(everything)
    world.move(recent=6)

    for backwards in (False, True):
        found: list[Kept] = []
        while len(found) < 12:
            wanted = Wanted(below=found[0].id) if found and backwards else Wanted(above=found[-1].id if found else 0)
            page = world.reader.page(JULIET, wanted, most=50, backwards=backwards)
            assert 1 <= len(page.entries) <= 4
            found = [*page.entries, *found] if backwards else [*found, *page.entries]

        assert everything == found
        assert page.is_complete


def test_one_message_larger_than_a_page_comes_alone(world: ArchiveWorld) -> None:
    everything = [Kept(e.id, e.peer, b"x" * 1_200_000) for e in numbered(4)]
    world.put(everything)
    world.move(recent=2)
    pages = [
        world.reader.page(JULIET, Wanted(above=above), most=50) for above in (0, everything[0].id, everything[2].id)
    ]

    assert [(everything[0],), (everything[1],), (everything[3],)] == [page.entries for page in pages]
    assert [False, False, True] == [page.is_complete for page in pages]


def test_a_rare_party_is_found_in_a_long_recent_part(world: ArchiveWorld) -> None:
    """The mover stood still: the stream is searched in bounded steps."""
    everything = numbered(3500)
    rare = [Kept(everything[i].id, "rare@localhost/x", everything[i].stanza) for i in (5, 2600)]
    for entry, i in zip(rare, (5, 2600), strict=True):
        everything[i] = entry
    world.put(everything)

    for backwards in (False, True):
        page = world.reader.page(JULIET, Wanted(peer="rare@localhost"), most=5, backwards=backwards)

        assert Page(tuple(rare), True) == page
