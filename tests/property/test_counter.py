"""XEP-0198's counts agree with a plain list, also across 2^32."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.xmpp import counter
from gateway.xmpp.errors import StreamError

STARTS = st.integers(0, 5) | st.integers(2**32 - 5, 2**32 + 5) | st.integers(2**33 - 5, 2**33 + 5)
STEPS = st.lists(st.tuples(st.sampled_from(["send", "ack"]), st.integers(-3, 8)), max_size=30)


@settings(deadline=None)
@given(STARTS, STEPS)
def test_counts_agree_with_a_list_of_what_was_sent(start: int, steps: list[tuple[str, int]]) -> None:
    unacked: list[int] = []  # absolute numbers of stanzas
    acked = sent = start
    for step, number in steps:
        if step == "send":
            for _ in range(max(number, 0)):
                sent += 1
                unacked.append(sent)
            continue
        h = counter.wire(acked + number)
        expected = [stanza for stanza in unacked if stanza <= acked + number]
        try:
            upto = counter.absolute(h, acked, sent)
        except StreamError:
            assert number < 0 or number > len(unacked)
            continue

        assert 0 <= number <= len(unacked)
        assert len(expected) == counter.handled(h, acked, sent) == upto - acked
        acked = upto
        del unacked[: len(expected)]
    assert sent - acked == len(unacked)


@settings(deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 2**32 - 1))
def test_what_is_on_the_wire_leads_back(since: int, step: int) -> None:
    assert step == counter.distance(counter.wire(since + step), since)
    assert counter.wire(since) == counter.parse_h(str(counter.wire(since)))
