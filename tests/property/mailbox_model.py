"""The mailbox as plain Python, written from the design's words and not from the Lua: what every operation should do.

One account; messages are known by their bodies. A `Copy` is an entry of one session, a `Message` has one fate.
"""

from __future__ import annotations

from collections.abc import Container

from tests.property.mailbox_parts import QUEUE, QUOTA, Copy, Ending, Message, Session


class Model:
    """One account's mailbox."""

    def __init__(self, resend: str, piece: int) -> None:
        self.resend = resend
        self.piece = piece
        self.exists = False
        self.is_blocking = False
        self.sessions: dict[str, Session] = {}  # by resource, in the order of binding
        self.offline: list[Copy] = []
        self.endings: list[Ending] = []
        self.archive: list[bytes] = []
        self.pruned = 0  # messages up to this number are gone from the archive
        self.fates = {"accepted": 0, "acked": 0, "archived": 0, "bounced": 0, "dropped": 0}
        self.bounced: list[bytes] = []
        self.old: dict[str, tuple[int, str]] = {}

    # what a message becomes

    def decide(self, message: Message, fate: str) -> None:
        assert not message.fate, f"{message} has a fate already, now {fate}"
        message.fate = fate
        self.fates[fate] += 1

    def acked(self, session: Session, copy: Copy) -> None:
        copy.message.copies -= 1
        if copy.message.kind == "c" and copy.message.at and not session.takes_messages:
            session.copied.add(copy.message.at)
        if copy.message.kind == "m" and not copy.message.fate:
            self.decide(copy.message, "acked")

    def is_held(self, message: Message) -> bool:
        """The archive is sure to have it."""
        return message.at > self.pruned

    # where a stanza goes

    def put(self, session: Session, message: Message, *, ahead: bool = False, is_late: bool = False) -> int | str:
        """Position, 0 if nobody need be told, or why not."""
        if len(session.queue) >= QUEUE or (message.kind in "mc" and session.backlog and not ahead):
            if message.kind == "q":
                return "full"
            if message.kind == "m" and "s" not in message.flags:
                return "dropped"
            if len(session.backlog) + len(self.offline) >= QUOTA:
                return "full"
            session.backlog.append(Copy(message, is_late=is_late))
            return 0
        # What makes the queue full is shown with all before it: nothing could follow before the client acknowledges.
        is_kept_back = session.is_inactive and message.may_wait and len(session.queue) + 1 < QUEUE
        session.queue.append(Copy(message, is_late=is_late or is_kept_back))
        if is_kept_back:
            return 0
        session.flush = session.tail
        return session.tail

    def put_presence(self, session: Session, sender: str, body: bytes) -> int:
        has_room = not session.backlog and not session.aside and len(session.queue) < QUEUE
        if session.is_consuming and not session.is_inactive and has_room:
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
        self, resource: str, kind: str, type_: str, flags: str, body: bytes, sender: str, own: str = ""
    ) -> tuple[str, dict[str, int], dict[str, int]]:
        """Status, the position in each session that took it, and those of copies. `own`: the account's own session that
        sent it.
        """
        if not self.exists:
            return "no-account", {}, {}
        if self.is_blocking and not own:
            return ("bounce" if kind in "mq" else "dropped"), {}, {}
        message = Message(body, kind, flags, at=len(self.archive) + 1 if "a" in flags else 0)
        targets, status = self.targets(resource, kind, type_)
        took: dict[str, int] = {}
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
        if status in ("full", "bounce"):
            return status, took, {}
        if message.at:
            self.archive.append(body)
        if kind != "m":
            return status, took, {}
        self.fates["accepted"] += 1
        if status == "dropped":
            self.decide(message, "archived" if message.at else "dropped")
        except_for = {own, *(session.sid for session in targets)}
        copies = self.copy(message, "received", "wuh", except_for) if status == "ok" else {}
        return status, took, copies

    def copy(
        self, message: Message, way: str, kept: str, except_for: Container[str], *, is_late: bool = False
    ) -> dict[str, int]:
        """XEP-0280: for the other devices that want it."""
        placed: dict[str, int] = {}
        flags = "".join(flag for flag in message.flags if flag in kept)
        for session in self.sessions.values() if "c" in message.flags else ():
            if session.has_carbons and session.sid not in except_for:
                one = Message(f"{way}:".encode() + message.body, "c", flags, at=message.at)
                position = self.put(session, one, is_late=is_late)
                if isinstance(position, int):
                    placed[session.sid] = position
        return placed

    def sent(self, session: Session, flags: str, body: bytes) -> dict[str, int]:
        """What the account keeps of a message of its own that somebody else's mailbox took."""
        message = Message(body, "m", flags)
        if "a" in flags:
            self.archive.append(body)
            message.at = len(self.archive)
        return self.copy(message, "sent", "h", {session.sid})

    def store(self, message: Message) -> str:
        if "s" not in message.flags:
            return "dropped"
        if len(self.offline) >= QUOTA:
            return "full"
        self.offline.append(Copy(message))
        return "offline"

    # the cursor moves

    def fill(self, session: Session) -> None:
        if not session.backlog or (session.inherited and not session.takes_messages):
            return
        before, moved = session.tail, 0
        while session.backlog and len(session.queue) < QUEUE and (session.tail == before or moved < self.piece):
            copy = session.backlog.pop(0)
            moved += 1
            is_wanted = copy.message.kind == "m" or (copy.message.kind == "c" and session.has_carbons)
            if is_wanted or not session.inherited:
                copy.is_late = copy.is_late or is_wanted
                session.queue.append(copy)
            elif copy.message.kind == "q":
                self.bounced.append(copy.message.body)
            session.inherited = max(0, session.inherited - 1)
        session.flush = session.tail

    def catch_up(self, session: Session) -> None:
        self.fill(session)
        if session.is_consuming and not session.is_inactive and not session.backlog:
            while session.aside and len(session.queue) < QUEUE:
                sender = min(session.aside)
                session.queue.append(Copy(Message(session.aside.pop(sender), "p", "")))

    def ack(self, session: Session, upto: int) -> None:
        if upto <= session.acked:
            return
        for _ in range(upto - session.acked):
            self.acked(session, session.queue.pop(0))
        session.acked = upto
        session.is_overdue = False
        self.catch_up(session)

    def rest(self, session: Session, is_inactive: bool) -> None:
        """XEP-0352."""
        if session.is_inactive != is_inactive:
            session.is_inactive, session.flush = is_inactive, session.tail
            self.catch_up(session)

    # sessions

    def broadcast(self, session: Session, body: bytes, *, reflected: bool = False) -> None:
        for other in self.sessions.values():
            if other is not session and other.priority is not None:
                self.put_presence(other, session.jid, body)
        if reflected:
            self.put_presence(session, session.jid, body)

    def unavailable(self, session: Session) -> None:
        if session.priority is not None:
            self.broadcast(session, f"<presence from='{session.jid}' type='unavailable'/>".encode())

    def retire(self, session: Session) -> None:
        del self.sessions[session.resource]
        if session.is_resumable:
            self.old[session.sid] = (session.h, f"{session.epoch} {session.tail}")

    def bind(self, resource: str, sid: str, node: str, linked: bool) -> str:
        """The sid of the session that was replaced."""
        new = Session(sid, resource, node)
        replaced = ""
        if old := self.sessions.get(resource):
            self.unavailable(old)
            new.backlog = old.queue + old.backlog
            new.inherited = len(new.backlog)
            new.copied = old.copied
            replaced = old.sid
            self.retire(old)
        new.is_linked = linked
        self.sessions[resource] = new
        return replaced

    def presence(self, session: Session, priority: int | None, body: bytes) -> None:
        former, took = session.priority, session.takes_messages
        session.priority, session.presence = priority, body
        if priority is not None or former is not None:
            self.broadcast(session, body, reflected=priority is not None)
        if priority is not None and former is None:
            for other in list(self.sessions.values()):
                if other is not session and other.priority is not None:
                    self.put_presence(session, other.jid, other.presence)
        if session.takes_messages and not took:
            self.settle_all()
            self.copy_to_lookers(session)
            session.inherited -= self.skip_seen(session, session.backlog, session.inherited)
            self.skip_seen(session, self.offline, 0)
            self.skip_copied(session)
            session.backlog += self.offline
            self.offline = []
            self.catch_up(session)

    def copy_to_lookers(self, session: Session) -> None:
        """Who looked into the archive and has copies on misses nothing, though another device takes it."""
        for copy in self.offline[: self.piece]:
            message = copy.message
            if "c" in message.flags and self.is_held(message):
                others = [s for s in self.sessions.values() if s.has_looked and not s.takes_messages]
                late = {s.sid for s in self.sessions.values()} - {s.sid for s in others if message.at > s.seen}
                known = {s.sid for s in others if message.at in s.copied or self.find_copy(s, message)}
                self.copy(message, "received", "wuh", {session.sid, *late, *known}, is_late=True)

    def find_copy(self, session: Session, message: Message) -> Copy | None:
        places = session.queue[: self.piece] + session.backlog[: self.piece]
        wanted = b"received:" + message.body
        return next((copy for copy in places if copy.message.body == wanted), None)

    def skip_copied(self, session: Session) -> None:
        """A message of which a device has a copy already is not delivered to it: the copy takes its place."""
        for copy in self.offline[: self.piece]:
            message = copy.message
            if "c" not in message.flags:
                continue
            if message.at in session.copied:
                self.offline.remove(copy)
                message.copies -= 1
                self.decide(message, "acked")
            elif found := self.find_copy(session, message):
                self.offline.remove(copy)
                found.message, found.is_late = message, True

    def skip_seen(self, session: Session, waiting: list[Copy], inherited: int) -> int:
        """What its client has from the archive already does not come again. Answers how many of the first `inherited`
        went.
        """
        gone = 0
        for at, copy in enumerate(waiting[: self.piece]):
            if not (session.low < copy.message.at <= session.seen and self.is_held(copy.message)):
                continue
            assert copy.message.at in session.shown, "skipped, but its client was never shown it"
            waiting[at] = None  # type: ignore[call-overload]
            gone += at < inherited
            copy.message.copies -= 1
            if copy.message.kind == "m" and not copy.message.copies and not copy.message.fate:
                self.decide(copy.message, "archived")
        waiting[:] = [copy for copy in waiting if copy is not None]
        return gone

    def resume(self, session: Session, upto: int, node: str) -> None:
        session.epoch += 1
        session.node, session.is_asleep, session.is_overdue, session.is_inactive = node, False, False, False
        for _ in range(upto - session.acked):
            self.acked(session, session.queue.pop(0))
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
        if how != "drop" and self.is_held(message):
            self.decide(message, "archived")
            return
        if how == "deliver":
            taken = [s for s in takers if isinstance(self.put(s, message, is_late=copy.is_late), int)]
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
        self.archive = []
        self.pruned = 0
        self.exists = self.is_blocking = False
        self.old = {}

    def waiting(self) -> int:
        """Messages that have no fate yet, each counted once."""
        places = [
            *(s.queue + s.backlog for s in self.sessions.values()),
            self.offline,
            *(e.entries for e in self.endings),
        ]
        return len({id(c.message) for place in places for c in place if c.message.kind == "m" and not c.message.fate})
