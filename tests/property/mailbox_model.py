"""The mailbox as plain Python, written from the design's words and not from the Lua: what every operation should do.

One account; messages are known by their bodies. A `Copy` is an entry of one session, a `Message` has one fate.
"""

from __future__ import annotations

from dataclasses import dataclass, field

QUEUE, QUOTA = 3, 4


@dataclass
class Message:
    """One accepted stanza: how many copies are left, and its fate once that is decided."""

    body: bytes
    kind: str
    flags: str
    copies: int = 1
    fate: str = ""

    @property
    def wakes(self) -> bool:
        return "w" in self.flags


@dataclass
class Copy:
    """A message in one place. `is_told`: an event that covers it was claimed, the device need not be told again."""

    message: Message
    is_told: bool = False


@dataclass
class Session:
    sid: str
    resource: str
    node: str
    epoch: int = 1
    is_asleep: bool = False
    is_overdue: bool = False
    is_resumable: bool = False
    is_linked: bool = False
    priority: int | None = None
    presence: bytes = b""
    acked: int = 0
    h: int = 0
    queue: list[Copy] = field(default_factory=list)
    backlog: list[Copy] = field(default_factory=list)
    inherited: int = 0
    aside: dict[str, bytes] = field(default_factory=dict)

    @property
    def jid(self) -> str:
        return f"juliet@localhost/{self.resource}"

    @property
    def tail(self) -> int:
        return self.acked + len(self.queue)

    @property
    def takes_messages(self) -> bool:
        return self.priority is not None and self.priority >= 0

    @property
    def is_consuming(self) -> bool:
        return not self.is_asleep and not self.is_overdue

    def must_wake(self) -> bool:
        """The push rule."""
        return (
            self.is_linked
            and not self.is_consuming
            and any(copy.message.wakes and not copy.is_told for copy in self.queue + self.backlog)
        )


@dataclass
class Ending:
    """What a session left, on its way to its fate, a piece at a time."""

    sid: str
    entries: list[Copy]
    how: str


class Model:
    """One account's mailbox."""

    def __init__(self, resend: str, piece: int) -> None:
        self.resend = resend
        self.piece = piece
        self.exists = False
        self.sessions: dict[str, Session] = {}  # by resource, in the order of binding
        self.offline: list[Copy] = []
        self.endings: list[Ending] = []
        self.fates = {"accepted": 0, "acked": 0, "bounced": 0, "dropped": 0}
        self.bounced: list[bytes] = []
        self.old: dict[str, int] = {}

    # what a message becomes

    def decide(self, message: Message, fate: str) -> None:
        assert not message.fate, f"{message} has a fate already, now {fate}"
        message.fate = fate
        self.fates[fate] += 1

    def acked(self, copy: Copy) -> None:
        copy.message.copies -= 1
        if copy.message.kind == "m" and not copy.message.fate:
            self.decide(copy.message, "acked")

    # where a stanza goes

    def put(self, session: Session, message: Message, *, ahead: bool = False) -> int | str:
        """Position, 0 for the backlog, or why not."""
        is_full = len(session.queue) >= QUEUE
        if is_full or (message.kind == "m" and session.backlog and not ahead):
            if message.kind == "q":
                return "full"
            if message.kind == "m" and "s" not in message.flags:
                return "dropped"
            if len(session.backlog) + len(self.offline) >= QUOTA:
                return "full"
            session.backlog.append(Copy(message))
            return 0
        session.queue.append(Copy(message))
        return session.tail

    def put_presence(self, session: Session, sender: str, body: bytes) -> int:
        if session.is_consuming and not session.backlog and not session.aside and len(session.queue) < QUEUE:
            session.queue.append(Copy(Message(body, "p", "")))
            return session.tail
        session.aside[sender] = body
        return 0

    def targets(self, resource: str, kind: str, type_: str) -> tuple[list[Session], str]:
        """RFC 6121 section 8.5, and what happens when nobody is there."""
        if resource and resource in self.sessions:
            return [self.sessions[resource]], ""
        if resource and not (kind == "m" and type_ in ("chat", "normal")):
            return [], "bounce" if kind == "q" or type_ == "groupchat" else "dropped"
        if kind == "p":
            return [s for s in self.sessions.values() if s.priority is not None], "dropped"
        if kind in "qr":
            return [], "bounce" if kind == "q" else "dropped"
        if type_ == "groupchat":
            return [], "bounce"
        if type_ == "error":
            return [], "dropped"
        takers = [s for s in self.sessions.values() if s.takes_messages]
        return takers, "dropped" if type_ == "headline" else "store"

    def deliver(
        self, resource: str, kind: str, type_: str, flags: str, body: bytes, sender: str
    ) -> tuple[str, dict[str, int]]:
        """Status, and the position in each session that took it."""
        if not self.exists:
            return "no-account", {}
        message = Message(body, kind, flags)
        targets, otherwise = self.targets(resource, kind, type_)
        took: dict[str, int] = {}
        status = otherwise
        for session in targets:
            answer = self.put_presence(session, sender, body) if kind == "p" else self.put(session, message)
            if isinstance(answer, int):
                took[session.sid] = answer
            else:
                status = answer
        if took:
            status, message.copies = "ok", len(took)
        elif status == "store":
            status = self.store(message)
        if kind == "m" and status not in ("full", "bounce"):
            self.fates["accepted"] += 1
            if status == "dropped":
                self.decide(message, "dropped")
        return status, took

    def store(self, message: Message) -> str:
        if "s" not in message.flags:
            return "dropped"
        if len(self.offline) >= QUOTA:
            return "full"
        self.offline.append(Copy(message))
        return "offline"

    # the cursor moves

    def fill(self, session: Session) -> None:
        before = session.tail
        moved = 0
        while (
            session.backlog
            and (session.inherited == 0 or session.takes_messages)
            and len(session.queue) < QUEUE
            and (session.tail == before or moved < self.piece)
        ):
            copy = session.backlog.pop(0)
            moved += 1
            if session.inherited and copy.message.kind != "m":
                if copy.message.kind == "q":
                    self.bounced.append(copy.message.body)
            else:
                session.queue.append(copy)
            session.inherited = max(0, session.inherited - 1)

    def catch_up(self, session: Session) -> None:
        self.fill(session)
        if session.is_consuming and not session.backlog:
            while session.aside and len(session.queue) < QUEUE:
                sender = next(iter(session.aside))
                session.queue.append(Copy(Message(session.aside.pop(sender), "p", "")))

    def ack(self, session: Session, upto: int) -> None:
        if upto <= session.acked:
            return
        for _ in range(upto - session.acked):
            self.acked(session.queue.pop(0))
        session.acked = upto
        session.is_overdue = False
        self.catch_up(session)

    # sessions

    def broadcast(self, session: Session, body: bytes) -> None:
        for other in self.sessions.values():
            if other is not session and other.priority is not None:
                self.put_presence(other, session.jid, body)

    def unavailable(self, session: Session) -> None:
        if session.priority is not None:
            body = f"<presence from='{session.jid}' to='juliet@localhost' type='unavailable'/>"
            self.broadcast(session, body.encode())

    def retire(self, session: Session) -> None:
        del self.sessions[session.resource]
        if session.is_resumable:
            self.old[session.sid] = session.h

    def bind(self, resource: str, sid: str, node: str, linked: bool) -> str:
        """The sid of the session that was replaced."""
        new = Session(sid, resource, node)
        replaced = ""
        if old := self.sessions.get(resource):
            self.unavailable(old)
            new.backlog = old.queue + old.backlog
            new.inherited = len(new.backlog)
            replaced = old.sid
            self.retire(old)
        new.is_linked = linked
        self.sessions[resource] = new
        return replaced

    def presence(self, session: Session, priority: int | None, body: bytes) -> None:
        former, took = session.priority, session.takes_messages
        session.priority, session.presence = priority, body
        if priority is not None or former is not None:
            self.broadcast(session, body)
        if priority is not None and former is None:
            for other in list(self.sessions.values()):
                if other is not session and other.priority is not None:
                    self.put_presence(session, other.jid, other.presence)
        if session.takes_messages and not took:
            self.settle_all()
            session.backlog += self.offline
            self.offline = []
            self.catch_up(session)

    def resume(self, session: Session, upto: int, node: str) -> None:
        session.epoch += 1
        session.node, session.is_asleep, session.is_overdue = node, False, False
        for _ in range(upto - session.acked):
            self.acked(session.queue.pop(0))
        session.acked = upto
        for copy in session.queue + session.backlog:
            copy.is_told = False
        self.catch_up(session)

    def end(self, session: Session) -> None:
        """Begin a session's end and settle its first piece."""
        others = [s for s in self.sessions.values() if s is not session and s.takes_messages]
        if others:
            how = "deliver" if self.resend == "true" else "bounce"
        else:
            how = "bounce" if self.resend == "false" else "store"
        self.begin_end(session, how)

    def begin_end(self, session: Session, how: str) -> None:
        if how == "store":
            self.settle_all()
        self.retire(session)
        if how != "drop":
            self.unavailable(session)
        self.endings.append(Ending(session.sid, session.queue + session.backlog, how))

    def settle_all(self) -> None:
        for ending in [e for e in self.endings if e.how == "store"]:
            while not self.settle(ending):
                pass

    def settle(self, ending: Ending) -> bool:
        """One piece. True: it was the last."""
        takers = [s for s in self.sessions.values() if s.takes_messages] if ending.how == "deliver" else []
        moved = 0
        while ending.entries and moved < self.piece:
            copy = ending.entries.pop(-1 if ending.how == "store" else 0)
            moved += max(1, len(takers))
            self.settle_one(copy, ending.how, takers)
        if not ending.entries:
            self.endings.remove(ending)
        return not ending.entries

    def settle_one(self, copy: Copy, how: str, takers: list[Session]) -> None:
        message = copy.message
        if message.kind == "q":
            self.bounced.append(message.body)
        if message.kind != "m":
            return
        message.copies -= 1
        if message.copies or message.fate:
            return
        is_stored = "s" in message.flags
        if how == "store" and is_stored:
            message.copies = 1
            self.offline.insert(0, copy)
            return
        if how == "deliver":
            taken = [s for s in takers if isinstance(self.put(s, message), int)]
            if taken:
                message.copies = len(taken)
                return
            if is_stored and not takers:
                message.copies = 1
                self.offline.append(copy)
                return
        if how in ("bounce", "deliver") and is_stored and "b" in message.flags:
            self.bounced.append(message.body)
            self.decide(message, "bounced")
        else:
            self.decide(message, "dropped")

    def remove(self) -> None:
        for ending in self.endings:
            ending.how = "drop"
        for session in list(self.sessions.values()):
            self.begin_end(session, "drop")
        for copy in self.offline:
            self.decide(copy.message, "dropped")
        self.offline = []
        self.exists = False
        self.old = {}

    def waiting(self) -> int:
        """Messages that have no fate yet, each counted once."""
        places = [
            *(s.queue + s.backlog for s in self.sessions.values()),
            self.offline,
            *(e.entries for e in self.endings),
        ]
        return len({id(c.message) for place in places for c in place if c.message.kind == "m" and not c.message.fate})
