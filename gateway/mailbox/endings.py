"""The end of a connection while Redis does not answer: what has to become of the session is submitted, and nobody waits
for it. It happens when Redis is back; should this process end first, its lease lapses and a sweeper does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.mailbox.errors import StoreError
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox, placed
from gateway.mailbox.model import Grip, Placed

Announce = Callable[[tuple[Placed, ...]], None]


def hibernate_later(mailbox: Mailbox, grip: Grip, *, sent: int, grace_ms: int, told: int, announce: Announce) -> None:
    """As `Mailbox.hibernate`, and `close_later` for a session that cannot be resumed. Never blocks."""

    def done(status: str | StoreError) -> None:
        if status == "not-resumable":
            close_later(mailbox, grip, announce)

    mailbox.submit_hibernate(grip, sent=sent, grace_ms=grace_ms, told=told, done=done)


def close_later(mailbox: Mailbox, grip: Grip, announce: Announce) -> None:
    """As `Mailbox.close`; an end that is too large for one operation is finished by a sweeper. Never blocks."""

    def done(reply: Any) -> None:
        if not isinstance(reply, StoreError) and reply[0] != b"stale":
            announce(placed(reply[1:]))

    mailbox.journal.submit(done, "FCALL", function("close"), 1, grip.at, grip.sid, grip.epoch, *mailbox.end_arguments)
