"""What the demo promises, checked against what was seen: a pure function of a transcript, so that it can be tested with
transcripts that are wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ACCEPTED = "accepted"
"""Not a fate but what all fates must add up to, once nothing waits any more."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One direction: ids of messages in the order in which they were sent, acknowledged to the sender, received."""

    name: str
    sent: tuple[str, ...]
    accepted: tuple[str, ...]
    received: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wakeup:
    """One occasion on which a phone had to be woken, or left alone.

    `pushes_ms`: for each push of this phone that the provider got, milliseconds after the message it was for.
    `within_ms` is how long the first may take; `wanted` how many there have to be.
    """

    name: str
    wanted: int
    within_ms: int
    pushes_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything that was seen. `fates` are the server's own counters once all was delivered."""

    conversations: tuple[Conversation, ...]
    wakeups: tuple[Wakeup, ...]
    fates: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Totals:
    """The last line of the demo's table."""

    sent: int
    accepted: int
    received: int
    lost: int
    doubled: int
    disordered: int
    pushes: int


def faults(transcript: Transcript) -> list[str]:
    """One line for each promise that was broken; empty if all were kept."""
    found: list[str] = []
    for conversation in transcript.conversations:
        found += conversation_faults(conversation)
    for wakeup in transcript.wakeups:
        found += wakeup_faults(wakeup)
    accepted = sum(len(set(conversation.accepted)) for conversation in transcript.conversations)
    return found + fate_faults(transcript.fates, accepted)


def conversation_faults(conversation: Conversation) -> list[str]:
    """Every message acknowledged to its sender and received, once, in order."""
    name = conversation.name
    found = [f"{name}: {one} was never acknowledged to its sender" for one in _missing(conversation, "accepted")]
    found += [f"{name}: {one} was lost" for one in _missing(conversation, "received")]
    found += [f"{name}: {one} came {times} times" for one, times in _doubled(conversation.received)]
    found += [f"{name}: {one} came, which was never sent" for one in _strange(conversation)]
    if is_disordered(conversation):
        found.append(f"{name}: messages came in another order than they were sent")
    return found


def wakeup_faults(wakeup: Wakeup) -> list[str]:
    """As many pushes as wanted, the first in time."""
    if len(wakeup.pushes_ms) != wakeup.wanted:
        return [f"{wakeup.name}: {len(wakeup.pushes_ms)} pushes instead of {wakeup.wanted}"]
    if wakeup.pushes_ms and wakeup.pushes_ms[0] > wakeup.within_ms:
        return [f"{wakeup.name}: the push came after {wakeup.pushes_ms[0]} ms, later than {wakeup.within_ms} ms"]
    return []


def fate_faults(fates: Mapping[str, int], accepted: int) -> list[str]:
    """Every message that was accepted has exactly one fate, and here all of them were acknowledged."""
    counted, ended = fates.get(ACCEPTED, 0), ended_in(fates)
    found = []
    if counted != accepted:
        found.append(f"fates: the server counts {counted} accepted messages, the clients {accepted}")
    if ended != counted:
        found.append(f"fates: {counted} messages were accepted, but {ended} have a fate")
    if fates.get("acked", 0) != ended:
        found.append(f"fates: {ended - fates.get('acked', 0)} messages ended otherwise than acknowledged")
    return found


def ended_in(fates: Mapping[str, int]) -> int:
    """How many messages have met their fate."""
    return sum(count for name, count in fates.items() if name != ACCEPTED)


def is_disordered(conversation: Conversation) -> bool:
    """The first copies came in another order than the messages were sent."""
    came = [one for one in dict.fromkeys(conversation.received) if one in set(conversation.sent)]
    rank = {one: at for at, one in enumerate(conversation.sent)}
    return came != sorted(came, key=rank.__getitem__)


def totals(transcript: Transcript) -> Totals:
    """The figures of the whole story."""
    all_of = transcript.conversations
    return Totals(
        sent=sum(len(one.sent) for one in all_of),
        accepted=sum(len(set(one.accepted) & set(one.sent)) for one in all_of),
        received=sum(len(set(one.received) & set(one.sent)) for one in all_of),
        lost=sum(len(_missing(one, "received")) for one in all_of),
        doubled=sum(len(_doubled(one.received)) for one in all_of),
        disordered=sum(is_disordered(one) for one in all_of),
        pushes=sum(len(wakeup.pushes_ms) for wakeup in transcript.wakeups),
    )


def _missing(conversation: Conversation, where: str) -> list[str]:
    there = set(getattr(conversation, where))
    return [one for one in conversation.sent if one not in there]


def _doubled(received: Sequence[str]) -> list[tuple[str, int]]:
    return [(one, times) for one, times in Counter(received).items() if times > 1]


def _strange(conversation: Conversation) -> list[str]:
    known = set(conversation.sent)
    return [one for one in dict.fromkeys(conversation.received) if one not in known]
