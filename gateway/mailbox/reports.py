"""Reports of spam and abuse (XEP-0377), for the operator: kept where only operators look, and not in a log."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal

KEPT = 10_000
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Report:
    """At `at_ms`, `by` told of `about` (bare JIDs, or a domain), for `reason` (its URI), naming so many stanzas."""

    at_ms: int
    by: str
    about: str
    reason: str
    stanzas: int


class Reports:
    """Methods wait, and raise StoreError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def add(self, *, by: str, about: str, reason: str, stanzas: int) -> None:
        """Keep a report; the oldest goes when there are too many."""
        self._journal.call(
            "XADD", keys.REPORTS, "MAXLEN", "~", KEPT, "*", "by", by, "about", about, "reason", reason,
            "stanzas", stanzas,
        )  # fmt: skip

    def newest(self, most: int = 100) -> list[Report]:
        """The newest, oldest of them first."""
        found = self._journal.call("XREVRANGE", keys.REPORTS, "+", "-", "COUNT", most)
        return [
            Report(int(entry.partition(b"-")[0]), flat[1].decode(), flat[3].decode(), flat[5].decode(), int(flat[7]))
            for entry, flat in reversed(found)
        ]

    def forget(self, user: str) -> None:
        """Drop what names an account (a bare JID) that is removed."""
        since = "-"
        while True:
            found = self._journal.call("XRANGE", keys.REPORTS, since, "+", "COUNT", PAGE)
            for entry, flat in found:
                if user in {jid.decode().partition("/")[0] for jid in (flat[1], flat[3])}:
                    self._journal.call("XDEL", keys.REPORTS, entry)
            if len(found) < PAGE:
                return
            since = f"({found[-1][0].decode()}"
