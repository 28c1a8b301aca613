"""The demo's verdict on transcripts that are right, and on each way in which one can be wrong."""

from dataclasses import replace

import pytest

from gateway.demo.story_verdict import Conversation, Totals, Transcript, Wakeup, faults, is_disordered, totals


def a_conversation(**changed: tuple[str, ...]) -> Conversation:
    messages = ("a", "b", "c")
    return replace(Conversation("romeo to juliet", messages, messages, messages), **changed)


def a_wakeup(*pushes_ms: int, wanted: int = 1) -> Wakeup:
    return Wakeup("juliet sleeps", wanted, 1000, pushes_ms)


def a_transcript(
    conversation: Conversation | None = None, wakeup: Wakeup | None = None, fates: dict[str, int] | None = None
) -> Transcript:
    return Transcript(
        (conversation or a_conversation(),), (wakeup or a_wakeup(50),), fates or {"accepted": 3, "acked": 3}
    )


def test_nothing_is_wrong_with_a_story_in_which_all_went_well() -> None:
    assert [] == faults(a_transcript())


def test_a_lost_message_is_a_fault() -> None:
    found = faults(a_transcript(a_conversation(received=("a", "c"))))

    assert ["romeo to juliet: b was lost"] == found


def test_a_doubled_message_is_a_fault() -> None:
    found = faults(a_transcript(a_conversation(received=("a", "b", "b", "c"))))

    assert ["romeo to juliet: b came 2 times"] == found


def test_another_order_is_a_fault() -> None:
    found = faults(a_transcript(a_conversation(received=("b", "a", "c"))))

    assert ["romeo to juliet: messages came in another order than they were sent"] == found


def test_a_late_second_copy_is_doubled_but_not_out_of_order() -> None:
    conversation = a_conversation(received=("a", "b", "c", "a"))

    assert not is_disordered(conversation)
    assert ["romeo to juliet: a came 2 times"] == faults(a_transcript(conversation))


def test_a_message_without_an_acknowledgement_is_a_fault() -> None:
    transcript = a_transcript(a_conversation(accepted=("a", "b")), fates={"accepted": 2, "acked": 2})

    assert ["romeo to juliet: c was never acknowledged to its sender"] == faults(transcript)


def test_a_message_that_nobody_sent_is_a_fault() -> None:
    found = faults(a_transcript(a_conversation(received=("a", "b", "c", "x"))))

    assert ["romeo to juliet: x came, which was never sent"] == found


@pytest.mark.parametrize(
    ("wakeup", "fault"),
    [
        (a_wakeup(), "juliet sleeps: 0 pushes instead of 1"),
        (a_wakeup(10, 20), "juliet sleeps: 2 pushes instead of 1"),
        (a_wakeup(10, wanted=0), "juliet sleeps: 1 pushes instead of 0"),
        (a_wakeup(1001), "juliet sleeps: the push came after 1001 ms, later than 1000 ms"),
    ],
)
def test_a_push_that_is_missing_needless_or_late_is_a_fault(wakeup: Wakeup, fault: str) -> None:
    assert [fault] == faults(a_transcript(wakeup=wakeup))


def test_a_phone_that_was_to_be_left_alone_and_was_is_no_fault() -> None:
    assert [] == faults(a_transcript(wakeup=a_wakeup(wanted=0)))


@pytest.mark.parametrize(
    ("fates", "fault"),
    [
        ({"accepted": 2, "acked": 2}, "fates: the server counts 2 accepted messages, the clients 3"),
        ({"accepted": 3, "acked": 2}, "fates: 3 messages were accepted, but 2 have a fate"),
        ({"accepted": 3, "acked": 2, "dropped": 1}, "fates: 1 messages ended otherwise than acknowledged"),
        ({"accepted": 3, "acked": 2, "archived": 1}, "fates: 1 messages ended otherwise than acknowledged"),
    ],
)
def test_counters_that_do_not_add_up_are_a_fault(fates: dict[str, int], fault: str) -> None:
    assert [fault] == faults(a_transcript(fates=fates))


def test_the_totals_count_each_message_once() -> None:
    transcript = a_transcript(a_conversation(received=("b", "a", "a", "x")), a_wakeup(10, 20))

    assert Totals(sent=3, accepted=3, received=2, lost=1, doubled=1, disordered=1, pushes=2) == totals(transcript)
