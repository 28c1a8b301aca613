"""The client's side of XEP-0198's counting."""

import pytest

from gateway.demo.acks import AckState, WrongAck


def sent(count: int, *, acked: int = 0) -> AckState:
    state = AckState()
    state.acked = acked
    for number in range(count):
        state.sent(f"id{number}", f"<message id='id{number}'/>")
    return state


def test_an_ack_forgets_the_oldest_first() -> None:
    state = sent(3)

    handled = state.acked_up_to(2)

    assert ["id0", "id1"] == [one.stanza_id for one in handled]
    assert ["id2"] == [one.stanza_id for one in state.unacked]


def test_the_same_ack_again_changes_nothing() -> None:
    state = sent(3)
    state.acked_up_to(2)

    assert [] == state.acked_up_to(2)


def test_acks_go_on_through_zero() -> None:
    state = sent(4, acked=2**32 - 2)

    assert 4 == len(state.acked_up_to(2))
    assert [] == state.acked_up_to(2)


@pytest.mark.parametrize("h", [4, 2**32 - 1])
def test_an_ack_for_what_was_not_sent_is_an_error(h: int) -> None:
    with pytest.raises(WrongAck):
        sent(3).acked_up_to(h)


def test_h_is_told_modulo_two_to_the_32() -> None:
    state = AckState()
    state.inbound = 2**32 + 5

    assert 5 == state.h
