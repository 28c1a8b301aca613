"""What the sessions of this process share: the mailbox, the settings, who is here."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.composition import Features
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Placed
from gateway.router import Router
from gateway.session.departures import Departures
from gateway.session.rhythm import Rhythm
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.session.connection import Connection
    from gateway.session.session import Session


class Registry:
    """The sessions whose sockets are in this process, by session id."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._of_user: dict[str, tuple[Session, ...]] = {}  # after a crash every resent message asks for it

    def add(self, session: Session) -> None:
        """The session's socket is here now."""
        former = self._sessions.get(session.grip.sid)
        if former is not None:
            self._unlist(former)
        self._sessions[session.grip.sid] = session
        self._of_user[session.user] = (*self._of_user.get(session.user, ()), session)

    def remove(self, session: Session) -> None:
        """The session's socket is gone. A newer connection of the same session stays."""
        if self._sessions.get(session.grip.sid) is session:
            del self._sessions[session.grip.sid]
            self._unlist(session)

    def _unlist(self, session: Session) -> None:
        others = tuple(other for other in self._of_user.get(session.user, ()) if other is not session)
        if others:
            self._of_user[session.user] = others
        else:
            self._of_user.pop(session.user, None)

    def get(self, sid: str) -> Session | None:
        """The session with this id, if its socket is here."""
        return self._sessions.get(sid)

    def of_user(self, user: str) -> tuple[Session, ...]:
        """Sessions of one account."""
        return self._of_user.get(user, ())

    def all(self) -> list[Session]:
        """All sessions at this moment."""
        return list(self._sessions.values())

    def __len__(self) -> int:
        return len(self._sessions)

    def placed(self, entry: Placed, stanza: bytes) -> None:
        """An entry was appended to a session of this node."""
        session = self._sessions.get(entry.sid)
        if session is not None:
            session.cursor.notice(entry.position, stanza)

    def recheck(self, user: str) -> None:
        """Something may have been appended that no answer told: look at the queues of this account's sessions."""
        for session in self.of_user(user):
            session.cursor.look()


@dataclass
class Node:
    """This process as its sessions see it. `new_id` gives random ids.

    `decoy_secret` (see `credentials.decoy`) is read from the mailbox at the start, before anybody can log in.
    """

    name: str
    domains: frozenset[str]
    mailbox: Mailbox
    accounts: Accounts
    settings: Settings
    features: Features
    router: Router
    registry: Registry
    rhythm: Rhythm
    tls_context: ssl.SSLContext | None
    tls_required: bool
    new_id: Callable[[], str]
    decoy_secret: bytes = b""
    connections: dict[Connection, None] = field(default_factory=dict)
    departures: Departures = field(default_factory=Departures)
