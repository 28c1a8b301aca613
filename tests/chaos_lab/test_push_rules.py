"""The rules about pushes in scripts/chaos, on small histories."""

from __future__ import annotations

import pytest

from tests.chaos_lab.stories import Story

TOKEN = "aa" * 32


def asleep() -> Story:
    """A message for a device that sleeps."""
    return Story("steady", "sleeper", token=TOKEN).later(20.0).sleeps().says(1).taken(1)


def test_a_device_that_is_woken_in_time_breaks_no_rule() -> None:
    story = asleep().later(3.0).pushed().wakes("push").gets(2, 1)

    assert [] == story.found


@pytest.mark.parametrize("why", ["timer", "end"])
def test_a_device_that_had_to_look_for_itself_was_not_woken(why: str) -> None:
    story = asleep().later(40.0).wakes(why).gets(2, 1)

    assert [("asleep", 0, 2)] == story.broken


def test_nobody_need_be_woken_for_what_came_just_before_the_timer_or_for_nothing() -> None:
    late = Story("steady", "sleeper", token=TOKEN).sleeps().later(38.0).says(1).taken(1).wakes("timer").gets(2, 1)
    nothing = Story("steady", "sleeper", token=TOKEN).sleeps().later(40.0).wakes("timer")

    assert [] == late.found
    assert [] == nothing.found


def test_what_strikes_workers_may_delay_a_push() -> None:
    story = asleep().struck("pause 15.0 s", "push.1", 15.0).later(40.0).wakes("timer").gets(2, 1)

    assert [] == story.found


def test_two_blows_at_the_same_time_delay_a_push_once() -> None:
    both = asleep().struck("pause 15.0 s", "push.1", 15.0).struck("pause 15.0 s", "push.2", 15.0)

    assert [("asleep", 0, 2)] == both.later(60.0).wakes("timer").gets(2, 1).broken


def test_a_push_within_a_second_of_the_return_is_on_its_way_and_a_later_one_is_needless() -> None:
    soon = asleep().later(3.0).wakes("push").gets(2, 1).later(0.3).pushed()
    late = asleep().later(3.0).wakes("push").gets(2, 1).later(1.5).pushed()

    assert [] == soon.found
    assert [("needless", 0, 2)] == late.broken


def test_a_device_that_sees_the_end_of_its_link_a_moment_after_the_push_is_not_disturbed() -> None:
    story = asleep().later(3.0).wakes("push").gets(2, 1).later(5.0)

    assert [] == story.pushed().later(0.5).cut(2).found
    assert [("needless", 0, 2)] == story.pushed(ago_s=3.0).broken


def test_a_link_may_end_later_if_redis_dies_before_it_says_that_the_session_sleeps() -> None:
    back = asleep().later(3.0).wakes("push").gets(2, 1).later(5.0).pushed().later(0.2)

    assert [] == back.struck("kill master", "redis", 2.0).later(3.0).cut(2).found


def test_a_link_that_ends_long_after_the_push_does_not_excuse_it() -> None:
    back = asleep().later(3.0).wakes("push").gets(2, 1).later(5.0).pushed()

    assert [("needless", 0, 2)] == back.later(3.2).cut(2).broken


def test_a_push_that_is_noted_late_counts_at_its_own_time() -> None:
    story = asleep().later(3.0).wakes("push").gets(2, 1).later(5.0)

    assert [] == story.pushed(ago_s=6.0).found
    assert [("needless", 0, 2)] == story.pushed(ago_s=2.0).broken


def test_the_push_of_a_worker_that_was_killed_may_be_repeated_by_another() -> None:
    story = asleep().later(3.0).struck("kill", "push.2").wakes("push").gets(2, 1).later(6.5).pushed()

    assert [] == story.found


def test_a_device_whose_link_is_lost_again_may_be_pushed() -> None:
    story = asleep().later(3.0).wakes("push").gets(2, 1).later(2.0).sleeps().later(1.0).pushed()

    assert [] == story.found
