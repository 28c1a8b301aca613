"""The rules, each of which a history keeps or breaks. Pure functions: nothing here knows of a server.

A message is *taken* when its sender was told so by `h` (XEP-0198). Of messages that were taken:

1. lost. Some device of the recipient gets it. Otherwise its fate is a written one (docs/fates.md): archived, after a
   session of the recipient's ended (by its own close, or because nobody resumed it in time) with something that was
   not acknowledged while another device was there; or, if it is not for the archive, bounced to its sender.
2. missing. Each device that was there when it was taken (its presence acknowledged before the message was sent, its
   session not left before it was taken) gets it, if its session lasts or is replaced by one of the same resource,
   which inherits. The same holds for copies (XEP-0280) to devices that asked for them: of what is sent to another
   device's full JID, and of what another device sent; but a copy ends with its session.
3. doubled. No device gets it twice in one session. In a later session only what was not acknowledged for sure in the
   earlier one: sure is what `h` of a successful resumption covered, and what an answered ping followed. As an
   exception, a message may come once more for each time that its sender sent it again without knowing what had become
   of it: in a new session, and without `h` on <failed/>. With `h`, it may not.
4. disorder. What one device sent to one address comes to each device in that order, whatever sessions, offline store
   and hand-over it went through; what comes a second time (see 3) does not count.
5. archive. What is for the archive is in the recipient's and in the sender's, once (but see 3), in the order of each
   sender's device; what is not for it, is not. A message says the id under which the archive has it.
6. bounced. Only what is not for the archive comes back, once, and only after a session ended as in 1.

Of messages that were not taken nothing is promised, but 3 and 4 hold for them.

7. session. One that its client did not leave can be resumed for as long as the server said.
8. stream. The server makes no mistake in XEP-0198, and ends no stream with an error but those that say "come again".
9. stranger. Nobody gets what was not for them.
10. unsettled. When everything runs again and nobody says anything, all becomes acknowledged and is delivered, in
    time.
11. asleep. A device with push that sleeps while something for it was taken is woken. (pushes.py)
12. needless. No push comes for a device that has been back for longer than a second, unless its link ends within
    the next, not counting the time for which Redis or the push workers were away: a server knows of that before its
    client does. (pushes.py)
13. counters. accepted = acked + archived + bounced + dropped, and nothing waits; as many were accepted as were taken,
    and at most as many as were sent; and no fate is needed more often than it was counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from scripts.chaos_lab.ledger import NEVER, Book, Ledger, Message, Reception
from scripts.chaos_lab.pushes import push_faults

COME_AGAIN = frozenset(
    {
        *("system-shutdown", "see-other-host", "conflict", "reset"),
        *("internal-server-error", "resource-constraint", "connection-timeout"),
    }
)
"""RFC 6120 section 4.9.3: who resumes after them loses nothing, which the other rules look after"""


LATE_BIND_S = 30.0
"""so long what a client asked for and gave up may wait for Redis"""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule was broken: by a message, at a device, at a time (0: none in particular)."""

    rule: str
    message: int
    device: int
    what: str
    at: float = 0.0


def violations(ledger: Ledger) -> Iterator[Violation]:
    """Everything that is wrong."""
    for message in ledger.messages.values():
        yield from doubled(ledger, message)
        yield from strangers(ledger, message)
        yield from bounced(ledger, message)
        if message.is_taken:
            yield from missing(ledger, message)
            yield from missing_copies(ledger, message)
            yield from lost(ledger, message)
    for book in ledger.books.values():
        yield from disorder(ledger, book)
        yield from sessions(book)
    yield from archives(ledger)
    for event in ledger.strangers:
        yield Violation("stranger", event.message, event.device, "came, and nobody sent it")
    for unsettled in ledger.unsettled:
        yield Violation("unsettled", 0, unsettled.device, unsettled.what)
    for rule, device, at, what in push_faults(ledger):
        yield Violation(rule, 0, device, what, at)
    yield from counters(ledger)


def lost(ledger: Ledger, message: Message) -> Iterator[Violation]:
    """Rule 1."""
    if message.bounced or any(not reception.is_own for reception in message.came):
        return
    if not _may_end_unseen(ledger, message):
        yield Violation("lost", message.number, 0, "was taken, and no device of the recipient got it")
    elif message.kept:
        if not any(shown.message == message.number for shown in ledger.archives.get(message.to_account, ())):
            yield Violation("lost", message.number, 0, "was taken, and neither a device nor the archive has it")
    elif not ledger.books[message.sender].is_fickle:
        yield Violation("lost", message.number, message.sender, "was taken, no device got it, and no error came back")


def _may_end_unseen(ledger: Ledger, message: Message) -> bool:
    """May a session of the recipient's have ended with it while another device was there: by its close, or expiry?"""
    books = ledger.accounts[message.to_account]
    return len(books) > 1 and any(
        leave.how in ("close", "expire") and _next_bind(book, leave.at) >= message.sent_at
        for book in books
        for leave in book.leaves
    )


def _next_bind(book: Book, at: float) -> float:
    return next((bind for bind in book.binds if bind > at), NEVER)


def missing(ledger: Ledger, message: Message) -> Iterator[Violation]:
    """Rule 2, of the message itself."""
    for book in ledger.accounts[message.to_account]:
        if message.to_device not in (0, book.device.device) or not _has_to_come(book, message, inherits=True):
            continue
        if message.came and message.kept and _was_given_up(book, message):
            continue
        if not any(one.device == book.device.device and not one.is_own for one in message.came):
            yield Violation("missing", message.number, book.device.device, "was there, and did not get it")


def _was_given_up(book: Book, message: Message) -> bool:
    """May a bind that its client had given up, and that was executed late, have ended the session that it came to? What
    was in that is the other devices' then, and the archive's.
    """
    return any(
        leave.how == "close" and leave.at < message.taken_at and message.sent_at < leave.at + LATE_BIND_S
        for leave in book.leaves
    )


def missing_copies(ledger: Ledger, message: Message) -> Iterator[Violation]:
    """Rule 2, of copies."""
    sender = ledger.books[message.sender].device
    for account, own in ((message.to_account, False), (sender.account, True)):
        for book in ledger.accounts[account]:
            device = book.device.device
            is_other = device != message.sender if own else message.to_device not in (0, device)
            if not book.device.carbons or not is_other or not _has_to_come(book, message, inherits=False):
                continue
            if not any(one.device == device and one.is_own == own for one in message.came):
                what = "of what another device sent" if own else "of what another device was sent"
                yield Violation("missing", message.number, device, f"wants copies, was there, and got none {what}")


def _has_to_come(book: Book, message: Message, *, inherits: bool) -> bool:
    """Was it there, and did its session last, or go on in one that replaced it?"""
    spans = book.spans
    for number, span in enumerate(spans):
        if span.start < message.sent_at and message.taken_at < span.end:
            rest = spans[number:]
            return not rest[-1].how and all(
                (one.how == "anew" and inherits) or following.session == one.session
                for one, following in pairwise(rest)
            )
    return False


def doubled(ledger: Ledger, message: Message) -> Iterator[Violation]:
    """Rule 3."""
    if len(message.came) < 2:
        return
    by_device: dict[tuple[int, bool], list[Reception]] = defaultdict(list)
    for reception in message.came:
        by_device[reception.device, reception.is_own].append(reception)
    for (device, _), came in by_device.items():
        if len(came) <= message.most:
            continue
        sessions = Counter(one.session for one in came)
        if max(sessions.values()) > message.most:
            yield Violation(
                "doubled", message.number, device, f"came {len(came)} times, and in one session more than once"
            )
        elif sum(one.is_sure for one in came[:-1]) >= message.most:
            yield Violation("doubled", message.number, device, "came again after it was acknowledged for sure")


def disorder(ledger: Ledger, book: Book) -> Iterator[Violation]:
    """Rule 4. Numbers of messages grow in the order of sending."""
    newest: dict[tuple[int, int, bool], int] = {}
    seen: set[int] = set()
    for came in book.order:
        if came in seen:
            continue
        seen.add(came)
        message = ledger.messages[abs(came)]
        address = message.to_account if came < 0 else message.to_device
        conversation = (message.sender, address, came < 0)
        before = newest.get(conversation, 0)
        if before > message.number:
            what = f"came after message {before}, which device {message.sender} sent later to the same address"
            yield Violation("disorder", message.number, book.device.device, what)
        newest[conversation] = max(before, message.number)


def archives(ledger: Ledger) -> Iterator[Violation]:
    """Rule 5."""
    if not ledger.archives:
        return
    ids: dict[tuple[int, int], str] = {}
    for account, entries in ledger.archives.items():
        counted = Counter(shown.message for shown in entries)
        ids.update(((account, shown.message), shown.archive_id) for shown in entries)
        newest: dict[tuple[int, int], int] = {}
        for shown in dict.fromkeys(shown.message for shown in entries):
            message = ledger.messages.get(shown)
            if message is None:
                yield Violation("stranger", shown, 0, f"is in the archive of account {account}, and nobody sent it")
                continue
            if counted[shown] > message.most or not message.kept:
                what = f"is in the archive of account {account} {counted[shown]} times"
                yield Violation("archive", shown, 0, what + ("" if message.kept else ", and is not for it"))
            conversation = message.sender, message.to_account
            if newest.get(conversation, 0) > shown:
                what = f"is in the archive of account {account} behind message {newest[conversation]}"
                yield Violation("archive", shown, 0, what)
            newest[conversation] = max(newest.get(conversation, 0), shown)
    for message in ledger.messages.values():
        yield from _archived(ledger, message, ids)


def _archived(ledger: Ledger, message: Message, ids: dict[tuple[int, int], str]) -> Iterator[Violation]:
    if not message.kept:
        return
    sender = ledger.books[message.sender].device.account
    for account in {sender, message.to_account} if message.is_taken else ():
        if account in ledger.archives and (account, message.number) not in ids:
            yield Violation("archive", message.number, 0, f"was taken, and is not in the archive of account {account}")
    if message.most > 1:
        return
    for reception in message.came:
        account = ledger.books[reception.device].device.account
        known = ids.get((account, message.number))
        if known is not None and reception.archive_id != known:
            what = f"came with the id {reception.archive_id or 'none'}, and the archive has it as {known}"
            yield Violation("archive", message.number, reception.device, what)


def bounced(ledger: Ledger, message: Message) -> Iterator[Violation]:
    """Rule 6."""
    for at, event in enumerate(message.bounced):
        if message.kept:
            yield Violation("bounced", message.number, event.device, f"came back as {event.condition}")
        elif at >= message.most:
            yield Violation("bounced", message.number, event.device, "came back more than once")
        elif not _may_end_unseen(ledger, message):
            yield Violation("bounced", message.number, event.device, f"came back as {event.condition}, without a cause")


def sessions(book: Book) -> Iterator[Violation]:
    """Rules 7 and 8."""
    device = book.device.device
    for refused, lost_at in book.refusals if not book.is_fickle else ():
        since_s = refused.at - lost_at
        what = (
            f"at {refused.at:.3f} its session was refused ({refused.condition}), {since_s:.1f} s after its link ended"
        )
        yield Violation("session", 0, device, what)
    for failed in book.failures:
        if failed.what in COME_AGAIN:
            continue
        yield Violation("stream", 0, device, f"at {failed.at:.3f}: {failed.what}")


def strangers(ledger: Ledger, message: Message) -> Iterator[Violation]:
    """Rule 9."""
    sender = ledger.books[message.sender].device.account
    for reception in message.came:
        account = ledger.books[reception.device].device.account
        if account != (sender if reception.is_own else message.to_account):
            yield Violation("stranger", message.number, reception.device, f"came to account {account}")
    for event in message.bounced:
        if event.device != message.sender:
            yield Violation("stranger", message.number, event.device, "came back to a device that did not send it")


def counters(ledger: Ledger) -> Iterator[Violation]:
    """Rule 13."""
    if ledger.counted is None:
        return
    fates, waiting = ledger.counted.fates, ledger.counted.waiting
    accepted = fates.get("accepted", 0)
    ended = sum(count for fate, count in fates.items() if fate != "accepted")
    taken = sum(message.is_taken for message in ledger.messages.values())
    sent = sum(message.most for message in ledger.messages.values())
    errors = sum(len(message.bounced) for message in ledger.messages.values())
    unseen = sum(
        message.is_taken and not message.bounced and all(one.is_own for one in message.came)
        for message in ledger.messages.values()
    )
    if waiting or accepted != ended:
        yield Violation("counters", 0, 0, f"{accepted} accepted, {ended} ended, {waiting} still wait")
    if not taken <= accepted <= sent + fates.get("bounced", 0):
        yield Violation("counters", 0, 0, f"{accepted} accepted, of {sent} sent and {taken} taken")
    if errors > fates.get("bounced", 0):
        yield Violation("counters", 0, 0, f"{errors} came back as errors, {fates.get('bounced', 0)} were counted")
    if unseen > sum(fates.get(fate, 0) for fate in ("archived", "bounced", "dropped")):
        yield Violation("counters", 0, 0, f"{unseen} were seen by no device, more than ended without one: {fates}")
