"""Ad-hoc command sessions (XEP-0050): kept in the mailbox of who began them, so that any node continues them.

A session id that carries the state itself, signed, would need no store, but could be used twice: an announcement would
go out again for a client that sends its request a second time.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import msgspec

from gateway.mailbox import keys
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox

KEPT_MS = 15 * 60 * 1000
"""how long a client may think about a form"""

MOST = 16
"""sessions of one account; the oldest goes"""


class CommandSession(msgspec.Struct, frozen=True):
    """Where an execution is: `node` names the command, `jid` who may continue it, `submitted` has the fields of the
    forms that came so far. The form of stage `len(submitted) + 1` is being filled in.
    """

    node: str
    jid: str
    submitted: tuple[dict[str, list[str]], ...] = ()


@dataclass(frozen=True, slots=True)
class CommandSessions:
    """Executions of ad-hoc commands by account (a bare JID). Every method waits, and raises StoreError."""

    mailbox: Mailbox

    def keep(self, user: str, sid: str, session: CommandSession) -> None:
        """Begin, or go on to another stage."""
        self.mailbox.journal.call(
            "FCALL", function("command_keep"), 1, keys.prefix(user), user, sid, msgspec.json.encode(session), KEPT_MS,
            MOST,
        )  # fmt: skip

    def take(self, user: str, sid: str) -> CommandSession | None:
        """Run a stage: until `keep` or `end` nobody else gets it. None: it is over, or somebody has it."""
        state = self.mailbox.journal.call(
            "FCALL", function("command_take"), 1, keys.prefix(user), user, sid, secrets.token_hex(8)
        )
        return None if state is None else msgspec.json.decode(state, type=CommandSession)

    def end(self, user: str, sid: str) -> None:
        """It was completed or canceled."""
        self.mailbox.journal.call("FCALL", function("command_end"), 1, keys.prefix(user), user, sid)
