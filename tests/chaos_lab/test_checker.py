"""Each rule of scripts/chaos, on histories that keep it and on histories that do not."""

from __future__ import annotations

import pytest

from scripts.chaos_lab import history as told
from tests.chaos_lab.stories import Story

# 1. lost, 2. missing


def test_a_good_history_breaks_no_rule() -> None:
    story = Story().says(1).says(2).taken(1).gets(2, 1).says(3).taken(2, 3).gets(2, 2, 3)
    story.shown(1, 1, 2, 3).shown(2, 1, 2, 3).counted(accepted=3, acked=3)

    assert [] == story.found


def test_what_was_taken_and_came_nowhere_is_lost() -> None:
    story = Story().says(1).taken(1)

    assert [("missing", 1, 2), ("lost", 1, 0)] == story.broken


def test_of_what_was_not_taken_nothing_is_promised() -> None:
    assert [] == Story().says(1).found


def test_each_device_that_is_there_has_to_get_it() -> None:
    story = Story().comes(3).says(1).taken(1).gets(2, 1)

    assert [("missing", 1, 3)] == story.broken


@pytest.mark.parametrize(("kept", "later_s", "broken"), [(True, 5.0, []), (True, 40.0, [3]), (False, 5.0, [3])])
def test_a_bind_that_was_given_up_may_end_the_session_that_followed_it(
    kept: bool, later_s: float, broken: list[int]
) -> None:
    story = Story().leaves(3, "close").comes(3).later(later_s).says(1, kept=kept).taken(1).gets(2, 1)

    assert [("missing", 1, device) for device in broken] == story.broken


def test_a_device_that_came_only_after_it_was_sent_need_not_get_it() -> None:
    story = Story().says(1).comes(3).taken(1).gets(2, 1)

    assert [] == story.found


def test_a_device_that_was_leaving_when_it_was_taken_need_not_get_it() -> None:
    story = Story("steady", "steady", "leaver").comes(3).says(1).leaves(3, "close").taken(1).gets(2, 1)

    assert [] == story.found


def test_a_session_that_was_left_before_its_presence_was_known_is_there_only_when_it_is() -> None:
    story = Story("steady", "renewer").cut(2).leaves(2, "anew").binds(2).cut(2).leaves(2, "anew").resumes(2)
    story.says(1).taken(1)

    assert [("lost", 1, 0)] == story.broken


def test_a_session_that_is_replaced_hands_on_what_it_had() -> None:
    story = Story("steady", "renewer", "steady").says(1).taken(1).cut(2).leaves(2, "anew").comes(2)

    assert [("missing", 1, 2), ("lost", 1, 0)] == story.broken
    assert [] == story.gets(2, 1).found


def test_a_session_that_was_lost_before_it_could_be_resumed_hands_nothing_on() -> None:
    story = Story("steady", "renewer", "steady").comes(3).says(1).taken(1).gets(3, 1).cut(2).leaves(2, "anew")

    assert [] == story.leaves(2, "close").comes(2).found


@pytest.mark.parametrize("how", ["close", "expire"])
def test_what_comes_when_nobody_is_there_waits_for_the_next_who_comes(how: str) -> None:
    story = Story("steady", "leaver").cut(2).leaves(2, how).says(1).taken(1).comes(2)
    story.shown(1, 1).shown(2, 1)

    assert [("lost", 1, 0)] == story.broken
    assert [] == Story("steady", "leaver").cut(2).leaves(2, how).says(1).taken(1).comes(2).gets(2, 1).found


def test_a_session_that_ended_may_leave_a_message_to_the_archive_alone_if_it_has_it() -> None:
    story = Story("steady", "leaver", "steady").says(1).taken(1).leaves(2, "close").comes(3)

    assert [] == story.shown(1, 1).shown(2, 1).found


def test_a_message_that_only_the_archive_could_have_and_has_not_is_lost() -> None:
    story = Story("steady", "leaver", "steady").says(1).taken(1).leaves(2, "close").comes(3)

    assert {("lost", 1, 0), ("archive", 1, 0)} == set(story.shown(1, 1).shown(2, 9).broken) - {("stranger", 9, 0)}


def test_what_is_not_for_the_archive_comes_back_when_its_session_ended() -> None:
    habits = ("steady", "leaver", "steady")
    lost = Story(*habits).says(1, kept=False).taken(1).leaves(2, "close").comes(3)
    returned = Story(*habits).says(1, kept=False).taken(1).leaves(2, "close").comes(3).bounces(1)

    assert [("lost", 1, 1)] == lost.broken
    assert [] == returned.found


@pytest.mark.parametrize("way", ["received", "sent"])
def test_a_device_that_wants_copies_has_to_get_them(way: str) -> None:
    story = Story(carbons=True).comes(3)
    if way == "received":
        story.says(1, to_device=2).taken(1).gets(2, 1)
        late = story.gets
    else:
        story.says(1, device=2, to=1).taken(1, device=2).gets(1, 1)
        late = story.gets

    assert [("missing", 1, 3)] == story.broken
    late(3, 1, way="received" if way == "received" else "sent")

    assert [] == story.found


# 3. doubled


def test_a_message_that_comes_twice_in_one_session_is_doubled() -> None:
    story = Story().says(1).taken(1).gets(2, 1, 1)

    assert [("doubled", 1, 2)] == story.broken


def test_a_message_and_its_copy_are_two_of_the_same() -> None:
    story = Story(carbons=True).says(1).taken(1).gets(2, 1).gets(2, 1, way="received")

    assert [("doubled", 1, 2)] == story.broken


def test_what_a_resumption_acknowledged_does_not_come_again_in_a_later_session() -> None:
    story = Story("steady", "renewer", "steady").says(1).taken(1).gets(2, 1).cut(2)
    unsure = story.leaves(2, "anew").comes(2).gets(2, 1).found
    sure = Story("steady", "renewer", "steady").says(1).taken(1).gets(2, 1).cut(2).resumes(2)
    sure.leaves(2, "anew").comes(2).gets(2, 1)

    assert [] == unsure
    assert [("doubled", 1, 2)] == sure.broken


def test_what_an_answered_ping_confirmed_does_not_come_again_in_a_later_session() -> None:
    story = Story("steady", "renewer", "steady").says(1).says(2).taken(1, 2).gets(2, 1).sure(2, 1).gets(2, 2)
    story.leaves(2, "anew").comes(2).gets(2, 2)

    assert [] == story.found
    assert [("doubled", 1, 2)] == story.gets(2, 1).broken


def test_what_its_sender_repeats_without_knowing_may_come_twice_and_not_three_times() -> None:
    story = Story("renewer", "steady", "steady").says(1).gets(2, 1).cut(1).leaves(1, "anew").comes(1).says(1)

    assert [] == story.taken(1).gets(2, 1).found
    assert [("doubled", 1, 2)] == story.gets(2, 1).broken


def test_what_its_sender_repeats_after_h_on_failed_may_come_once() -> None:
    story = Story("expirer", "steady", "steady").says(1).gets(2, 1).cut(1).leaves(1, "expire")
    story.refused(1, handled=True).comes(1).says(1).taken(1).gets(2, 1)

    assert [("doubled", 1, 2)] == story.broken


def test_without_h_on_failed_it_may_come_twice() -> None:
    story = Story("expirer", "steady", "steady").says(1).gets(2, 1).cut(1).leaves(1, "expire")
    story.refused(1, handled=False).comes(1).says(1).taken(1).gets(2, 1)

    assert [] == story.found


# 4. disorder


def test_an_earlier_message_that_comes_later_is_in_disorder() -> None:
    story = Story().says(1).says(2).taken(1, 2).gets(2, 2, 1)

    assert [("disorder", 1, 2)] == story.broken


def test_different_senders_and_different_addresses_have_no_order_among_them() -> None:
    story = Story().comes(3).says(1).says(2, to_device=2).says(3, device=3, to=2).taken(1, 2).taken(3, device=3)

    assert [] == story.gets(2, 3, 2, 1).gets(3, 1, 3).found


def test_order_holds_over_sessions() -> None:
    story = Story("steady", "renewer", "steady").says(1).says(2).taken(1, 2).gets(2, 2)

    assert [("disorder", 1, 2)] == story.leaves(2, "anew").comes(2).gets(2, 1).broken


def test_what_comes_again_may_come_behind_what_is_newer() -> None:
    story = Story("steady", "renewer", "steady").says(1).says(2).taken(1, 2).gets(2, 1, 2)

    assert [] == story.leaves(2, "anew").comes(2).gets(2, 1, 2).found


# 5. archive, 6. bounced


def test_what_was_taken_is_in_both_archives_once_and_in_order() -> None:
    story = Story().says(1).says(2).says(3, kept=False).taken(1, 2, 3).gets(2, 1, 2, 3)

    assert [] == story.shown(1, 1, 2).shown(2, 1, 2).found


@pytest.mark.parametrize(
    ("mine", "theirs", "wrong"),
    [
        ((1, 2), (1,), 2),
        ((1,), (1, 2), 2),
        ((1, 2), (1, 2, 2), 2),
        ((1, 2), (2, 1), 1),
        ((1, 2, 3), (1, 2), 3),
    ],
    ids=["not the recipient's", "not the sender's", "twice", "in disorder", "not for it"],
)
def test_an_archive_is_wrong(mine: tuple[int, ...], theirs: tuple[int, ...], wrong: int) -> None:
    story = Story().says(1).says(2).says(3, kept=False).taken(1, 2, 3).gets(2, 1, 2, 3)

    assert [("archive", wrong, 0)] == story.shown(1, *mine).shown(2, *theirs).broken


def test_a_message_names_the_id_of_its_archive() -> None:
    story = Story().says(1).taken(1).gets(2, 1, archive_id="another")

    assert [("archive", 1, 2)] == story.shown(1, 1).shown(2, 1).broken


def test_what_is_archived_does_not_come_back() -> None:
    story = Story("steady", "leaver", "steady").says(1).taken(1).leaves(2, "close").comes(3).bounces(1)

    assert [("bounced", 1, 1)] == story.broken


def test_nothing_comes_back_without_a_cause_nor_twice() -> None:
    habits = ("steady", "leaver", "steady")
    twice = Story(*habits).says(1, kept=False).taken(1).leaves(2, "close").comes(3).bounces(1).bounces(1)

    assert [("bounced", 1, 1)] == Story().says(1, kept=False).taken(1).gets(2, 1).bounces(1).broken
    assert [("bounced", 1, 1)] == twice.broken


# 7. session, 8. stream, 9. stranger, 10. unsettled


def test_a_session_that_was_not_left_has_to_be_resumable() -> None:
    steady = Story().cut(2).refused(2)
    expirer = Story("steady", "expirer", "steady").leaves(2, "expire").cut(2).refused(2)

    assert [("session", 0, 2)] == steady.broken
    assert [] == expirer.found


def test_an_error_of_the_stream_is_a_breach() -> None:
    assert [("stream", 0, 2)] == Story().add(told.StreamFailed(1.0, 2, 1, "undefined-condition")).broken
    assert [] == Story().add(told.StreamFailed(1.0, 2, 1, "system-shutdown")).found


def test_who_gets_what_was_for_another_is_a_stranger_to_it() -> None:
    assert [("stranger", 1, 1)] == Story().says(1).taken(1).gets(2, 1).gets(1, 1).broken
    assert [("stranger", 5, 2)] == Story().gets(2, 5).broken
    assert ("stranger", 1, 2) in Story().says(1, kept=False).bounces(1, device=2).broken


def test_what_does_not_settle_is_a_breach() -> None:
    assert [("unsettled", 0, 1)] == Story().add(told.Unsettled(9.0, 1, "2 unacknowledged")).broken


# 13. counters


@pytest.mark.parametrize(
    ("counts", "waiting"),
    [
        ({"accepted": 1, "acked": 1}, 1),
        ({"accepted": 2, "acked": 1}, 0),
        ({"accepted": 0, "acked": 0}, 0),
        ({"accepted": 2, "acked": 2}, 0),
    ],
    ids=["something waits", "they do not add up", "fewer than were taken", "more than were sent"],
)
def test_counters_are_wrong(counts: dict[str, int], waiting: int) -> None:
    story = Story().says(1).taken(1).gets(2, 1)

    assert {("counters", 0, 0)} == set(story.counted(waiting, **counts).broken)


def test_what_nobody_saw_needs_a_fate_that_was_counted() -> None:
    story = Story("steady", "leaver", "steady").says(1).taken(1).leaves(2, "close").comes(3)
    story.shown(1, 1).shown(2, 1)

    assert [("counters", 0, 0)] == story.counted(accepted=1, acked=1).broken


def test_what_came_back_needs_a_fate_that_was_counted() -> None:
    story = Story("steady", "leaver", "steady").says(1, kept=False).taken(1).leaves(2, "close").comes(3)

    assert [("counters", 0, 0)] == story.bounces(1).counted(accepted=1, acked=1).broken
