"""A history in the order of its messages and devices, which is how the rules of checker.py look at it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from scripts.chaos_lab import history as told

NEVER = float("inf")


@dataclass(slots=True)
class Span:
    """When a session was there for sure: what is taken within is for it. `how` it ended, "" if it did not."""

    session: int
    start: float
    end: float = NEVER
    how: str = ""


@dataclass(slots=True)
class Reception:
    """A message that came: the n-th (`place`) of its session, counted from 0."""

    at: float
    device: int
    session: int
    place: int
    way: str
    archive_id: str
    is_sure: bool = False
    """the server knows for sure that the client has it"""

    @property
    def is_own(self) -> bool:
        """A copy of what another device of the sender's account sent."""
        return self.way == "sent"


@dataclass(slots=True)
class Message:
    """One message, whatever became of it."""

    number: int
    sender: int
    sent_at: float
    to_account: int
    to_device: int
    kept: bool
    most: int = 1
    """so many times it may have been taken: more than once, if it was sent again without knowing of the first time"""
    taken_at: float = NEVER
    came: list[Reception] = field(default_factory=list)
    bounced: list[told.Bounced] = field(default_factory=list)

    @property
    def is_taken(self) -> bool:
        """The sender was told so."""
        return self.taken_at < NEVER


@dataclass(slots=True)
class Book:
    """What is known of a device."""

    device: told.Device
    spans: list[Span] = field(default_factory=list)
    binds: list[float] = field(default_factory=list)
    leaves: list[told.Leaving] = field(default_factory=list)
    refusals: list[tuple[told.Refused, float]] = field(default_factory=list)
    """with the time since which the link was lost"""
    failures: list[told.StreamFailed] = field(default_factory=list)
    online: list[tuple[float, float]] = field(default_factory=list)
    sleeps: list[tuple[float, float, str]] = field(default_factory=list)
    """from, to, and what ended it"""
    pushes: list[float] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    """what came, in order: numbers of messages, negative for copies of own ones"""
    session: list[Reception] = field(default_factory=list)
    """what came in the present session"""
    cut_at: float = 0.0
    is_online: bool = False
    resent_knowing: bool = False
    """what it sends again the server has not taken, as the server said itself"""

    @property
    def is_fickle(self) -> bool:
        """Its sessions may end by its own doing."""
        return self.device.habit not in ("steady", "dropper", "sleeper")


class Ledger:
    """Everything of a run."""

    def __init__(self) -> None:
        self.run = told.Run(0.0, 0, "")
        self.messages: dict[int, Message] = {}
        self.books: dict[int, Book] = {}
        self.accounts: dict[int, list[Book]] = defaultdict(list)
        self.archives: dict[int, list[told.Shown]] = {}
        self.strikes: list[told.Struck] = []
        self.unsettled: list[told.Unsettled] = []
        self.strangers: list[told.Received | told.Bounced] = []
        self.counted: told.Counted | None = None

    @classmethod
    def of(cls, events: Iterable[told.Event]) -> Ledger:
        """Enter all events. Raises ValueError for a history that contradicts itself."""
        ledger = cls()
        for event in events:
            ledger._enter(event)
        return ledger

    def _enter(self, event: told.Event) -> None:
        match event:
            case told.Run():
                self.run = event
                return
            case told.Device():
                book = self.books[event.device] = Book(event)
                self.accounts[event.account].append(book)
                return
            case told.Shown():
                self.archives.setdefault(event.account, []).append(event)
                return
            case told.Counted():
                self.counted = event
                return
            case told.Pushed():
                self.books[event.device].pushes.append(event.at)
                return
            case told.Struck():
                self.strikes.append(event)
                return
            case told.Unsettled():
                self.unsettled.append(event)
                return
        if event.device not in self.books:
            raise ValueError(f"device {event.device} is not in the history's list")
        book = self.books[event.device]
        match event:
            case told.Received() | told.Bounced():
                self._enter_arrival(book, event)
            case told.Sent():
                self._enter_sent(book, event)
            case told.Taken():
                message = self.messages[event.message]
                message.taken_at = min(message.taken_at, event.at)
            case told.Sure():
                for reception in book.session[: event.received]:
                    reception.is_sure = True
            case told.Asleep() | told.Awake():
                _enter_sleep(book, event)
            case _:
                _enter_session(book, event)

    def _enter_sent(self, book: Book, event: told.Sent) -> None:
        known = self.messages.get(event.message)
        if known is None:
            self.messages[event.message] = Message(
                event.message, event.device, event.at, event.to_account, event.to_device, event.kept
            )
        elif not book.resent_knowing:
            known.most += 1

    def _enter_arrival(self, book: Book, event: told.Received | told.Bounced) -> None:
        message = self.messages.get(event.message)
        if message is None:
            self.strangers.append(event)
        elif isinstance(event, told.Bounced):
            message.bounced.append(event)
        else:
            reception = Reception(event.at, event.device, event.session, len(book.session), event.way, event.archive_id)
            message.came.append(reception)
            book.session.append(reception)
            book.order.append(-event.message if reception.is_own else event.message)


def _enter_sleep(book: Book, event: told.Asleep | told.Awake) -> None:
    if isinstance(event, told.Asleep):
        book.sleeps.append((event.at, NEVER, ""))
        _end_online(book, event.at)
    elif book.sleeps:
        book.sleeps[-1] = (book.sleeps[-1][0], event.at, event.why)


def _enter_session(book: Book, event: told.Event) -> None:
    spans = book.spans
    match event:
        case told.Bound():
            _end_span(book, book.cut_at, "lost")
            book.session = []
            book.binds.append(event.at)
        case told.Here():
            spans.append(Span(event.session, event.at))
            _begin_online(book, event.at)
        case told.Resumed():
            for reception in book.session:
                reception.is_sure = True
            if spans and spans[-1].session == event.session:
                if spans[-1].how:
                    spans.append(Span(event.session, event.at))
                _begin_online(book, event.at)
        case told.Cut():
            if book.is_online:
                book.cut_at = event.at
            _end_online(book, event.at)
        case told.Leaving():
            book.leaves.append(event)
            book.resent_knowing = False
            _end_span(book, event.at, event.how)
            if spans and event.how == "close":
                spans[-1].how = "close"  # what took over from it, and inherited, has ended without a successor
            _end_online(book, event.at)
        case told.Refused():
            book.refusals.append((event, book.cut_at))
            book.resent_knowing = event.handled
            _end_span(book, book.cut_at, "lost")
        case told.StreamFailed():
            book.failures.append(event)


def _end_span(book: Book, at: float, how: str) -> None:
    if book.spans and not book.spans[-1].how:
        book.spans[-1].end, book.spans[-1].how = at, how


def _begin_online(book: Book, at: float) -> None:
    if not book.is_online:
        book.is_online = True
        book.online.append((at, NEVER))


def _end_online(book: Book, at: float) -> None:
    if book.is_online:
        book.is_online = False
        book.online[-1] = (book.online[-1][0], at)
