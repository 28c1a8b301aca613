"""Accounts: what the command line and SASL need of the mailbox."""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Iterator, Mapping

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function
from gateway.mailbox.model import Census, SessionLine
from gateway.mailbox.notices import publish_removed
from gateway.mailbox.pushes import Pushes
from gateway.mailbox.reports import Reports


class Accounts:
    """Accounts by bare JID. Every method waits, and raises StoreError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def create(self, user: str, credentials: Mapping[str, str]) -> bool:
        """Make an account with these fields (`Credentials.to_fields`). False: it exists."""
        return self._write(user, "0", credentials) == b"ok"

    def set_credentials(self, user: str, credentials: Mapping[str, str]) -> bool:
        """Replace the credentials. False: there is no such account."""
        return self._write(user, "1", credentials) == b"ok"

    def _write(self, user: str, replace: str, credentials: Mapping[str, str]) -> bytes:
        flat = [part for item in credentials.items() for part in item]
        reply: bytes = self._journal.call(
            "FCALL", function("create"), 1, keys.prefix(user), user, replace, secrets.token_hex(8), *flat
        )
        return reply

    def credentials(self, user: str) -> dict[str, str] | None:
        """The account's fields, with `disabled` if it is; or None when there is no such account."""
        flat = self._journal.call(
            "FCALL", function("credentials"), 1, keys.prefix(user), user, timeout_s=self._journal.answer_timeout_s
        )
        return {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)} or None

    def decoy_secret(self) -> bytes:
        """A secret that all nodes share, for `credentials.decoy`. Made at the first call ever."""
        known = self._journal.call("GET", keys.DECOY_SECRET)
        if known is None:
            self._journal.call("SET", keys.DECOY_SECRET, secrets.token_bytes(32), "NX")
            known = self._journal.call("GET", keys.DECOY_SECRET)
        return bytes(known)

    def remove(self, user: str) -> builtins.list[tuple[str, str]] | None:
        """Erase the mailbox.

        Answers (session id, owner node) of what has to be closed, or None: there is no such account.
        """
        reply = self._journal.call("FCALL", function("remove"), 1, keys.prefix(user), user)
        if reply[0] != b"ok":
            return None
        sessions = [(reply[i].decode(), reply[i + 1].decode()) for i in range(1, len(reply), 2)]
        for sid, _node in sessions:
            self._settle(user, sid)
        return sessions

    def erase(self, user: str) -> bool:
        """Remove the account with all that it holds, and close its connections, on whatever node. False: there is none.

        Others may hold what it did to them, such as messages it sent: those are theirs.
        """
        closed = self.remove(user)
        for sid, node in closed or ():
            publish_removed(self._journal, node, sid)
        if closed is not None:
            Pushes(self._journal).forget_letters(user)
            Reports(self._journal).forget(user)
        return closed is not None

    def _settle(self, user: str, sid: str) -> None:
        """Give the entries of a removed account's session their fate; the sweeper would, but it may not run."""
        reply = [b"more"]
        while reply[0] == b"more":
            reply = self._journal.call("FCALL", function("finish"), 1, keys.prefix(user), sid, "false", 0, 0)

    def list(self) -> Iterator[str]:
        """All bare JIDs, in no order."""
        for at in keys.PREFIXES:
            for user in self._journal.call("SMEMBERS", keys.key(at, "accounts")):
                yield user.decode()

    def sessions(self, user: str) -> builtins.list[SessionLine]:
        """The account's sessions, live and sleeping."""
        reply = self._journal.call("FCALL", function("sessions"), 1, keys.prefix(user), user)
        return [
            SessionLine(
                resource=line[0].decode(), sid=line[1].decode(), state=line[2].decode(), node=line[3].decode(),
                acked=int(line[4]), tail=int(line[5]), backlog=int(line[6]), priority=int(line[7]) if line[7] else None,
                bound_at=int(line[8]), deadline=int(float(line[9])), has_push=line[10] == b"1",
            )
            for line in reply
        ]  # fmt: skip

    def census(self) -> Census:
        """Numbers of all buckets together, in one round trip."""
        accounts = sleeping = events = retries = outbox = 0
        oldest = 0
        fates: dict[str, int] = {}
        calls = [("FCALL", function("census"), 1, at) for at in keys.PREFIXES]
        for line in self._journal.call_all(calls):
            accounts, sleeping, events = accounts + line[0], sleeping + line[1], events + line[2]
            retries, outbox = retries + line[4], outbox + line[5]
            if line[3]:
                at = int(line[3].split(b"-")[0])
                oldest = min(oldest, at) if oldest else at
            for i in range(0, len(line[6]), 2):
                name = line[6][i].decode()
                fates[name] = fates.get(name, 0) + int(line[6][i + 1])
        return Census(accounts, sleeping, events, oldest, retries, outbox, fates)
