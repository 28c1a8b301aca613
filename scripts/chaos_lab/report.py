"""What a run says at its end: figures, what was wrong, and of each wrong message everything that was seen of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.chaos_lab import history as told
from scripts.chaos_lab.checker import Violation
from scripts.chaos_lab.ledger import Ledger

AROUND_S = 3.0
"""of devices, and of what struck, is shown what happened so long before a message was sent, and after its end"""

LONG_AROUND_S = 60.0
"""and so long before a breach that is no message's"""

MOST_LINES = 120
_LIFE = (
    told.Bound,
    told.Here,
    told.Cut,
    told.Resumed,
    told.Refused,
    told.Leaving,
    told.Sure,
    told.Asleep,
    told.Awake,
    told.StreamFailed,
    told.Unsettled,
)


def figures(ledger: Ledger) -> Iterator[str]:
    """What was done, in numbers."""
    messages = ledger.messages.values()
    kills = sum(strike.what.startswith(("kill", "term")) for strike in ledger.strikes)
    received = sum(len(message.came) for message in messages)
    resumed = sum(reception.is_sure for message in messages for reception in message.came)
    taken = sum(message.is_taken for message in messages)
    yield f"messages    {len(messages)} sent, {taken} taken, {received} received"
    yield f"            {resumed} receptions acknowledged for sure, {sum(len(m.bounced) for m in messages)} came back"
    yield f"devices     {len(ledger.books)} of {len(ledger.accounts)} accounts, {_sessions(ledger)} sessions"
    pushes = sum(len(book.pushes) for book in ledger.books.values())
    woken = Counter(why for book in ledger.books.values() for _, _, why in book.sleeps)
    yield f"pushes      {pushes} accepted; sleepers woken {dict(sorted(woken.items()))}"
    yield f"blows       {kills} kills, {len(ledger.strikes)} in all"
    if ledger.counted is not None:
        yield f"fates       {ledger.counted.fates}, {ledger.counted.waiting} waiting"


def _sessions(ledger: Ledger) -> int:
    return sum(len(book.binds) for book in ledger.books.values())


def summary(found: Sequence[Violation]) -> Iterator[str]:
    """How often each rule was broken."""
    counted = Counter(violation.rule for violation in found)
    for rule in ("lost", "missing", "doubled", "disorder"):
        yield f"{counted.pop(rule, 0):6} {rule}"
    for rule, count in sorted(counted.items()):
        yield f"{count:6} {rule}"


def story(file: Path, ledger: Ledger, violation: Violation) -> Iterator[str]:
    """A breach, and what the history has of its message and of the devices around it, in order of time."""
    yield f"{violation.rule}: {_subject(ledger, violation)} {violation.what}"
    devices, start, end = _scene(ledger, violation)
    lines: list[tuple[float, str]] = []
    for event in told.read(file):
        line = _line(event, ledger, violation, devices, start, end)
        if line:
            lines.append((getattr(event, "at", float("inf")), line))
    lines.sort(key=lambda line: line[0])  # what has a length is written down at its end
    yield from (line for _, line in lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        yield f"    … {len(lines) - MOST_LINES} more: {file}"


def _subject(ledger: Ledger, violation: Violation) -> str:
    names = [f"message {violation.message}"] if violation.message else []
    if violation.device:
        names.append(f"device {_name(ledger, violation.device)}")
    return ", ".join(names)


def _name(ledger: Ledger, number: int) -> str:
    book = ledger.books.get(number)
    return f"{number} ({book.device.jid}, {book.device.habit})" if book is not None else str(number)


def _scene(ledger: Ledger, violation: Violation) -> tuple[set[int], float, float]:
    message = ledger.messages.get(violation.message)
    if message is None and violation.at:
        return {violation.device}, violation.at - LONG_AROUND_S, violation.at + AROUND_S
    if message is None:
        return {violation.device}, 0.0, float("inf")
    accounts = {message.to_account, ledger.books[message.sender].device.account}
    devices = {book.device.device for account in accounts for book in ledger.accounts[account]}
    if violation.device:
        devices = {violation.device, message.sender}
    times = [message.sent_at, *(one.at for one in message.came), *(one.at for one in message.bounced)]
    if message.is_taken:
        times.append(message.taken_at)
    return devices, min(times) - AROUND_S, max(times) + AROUND_S


def _line(event: told.Event, ledger: Ledger, violation: Violation, devices: set[int], start: float, end: float) -> str:
    at = getattr(event, "at", None)
    if getattr(event, "message", 0) == violation.message != 0:
        return f"  > {_time(at)} {_words(event, ledger)}"
    if at is None or not start <= at <= end:
        return ""
    if isinstance(event, _LIFE) and event.device in devices:
        return f"    {_time(at)} {_words(event, ledger)}"
    if isinstance(event, told.Pushed) and event.device in devices:
        return f"    {_time(at)} {_words(event, ledger)}"
    if isinstance(event, told.Struck) and not event.whom.startswith("link") and (violation.message or violation.at):
        return f"    {_time(at)} -- {event.what} {event.whom} (until {event.until:.3f})"
    return ""


def _time(at: float | None) -> str:
    return " " * 9 if at is None else f"{at:9.3f}"


def _words(event: told.Event, ledger: Ledger) -> str:
    """The event's name, whose it is, and the rest of what is known."""
    name = str(type(event).__struct_config__.tag)
    fields = {field: getattr(event, field) for field in event.__struct_fields__ if field not in ("at", "message")}
    device = fields.pop("device", 0)
    who = f"device {_name(ledger, device)} " if device else ""
    rest = " ".join(f"{field}={value}" for field, value in fields.items() if value not in ("", None))
    return f"{name:9} {who}{rest}".rstrip()
