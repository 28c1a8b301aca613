"""Small histories: user1 has device 1, user2 has 2 and (of three habits) 3; each step takes a tenth of a second."""

from __future__ import annotations

from scripts.chaos_lab import history as told
from scripts.chaos_lab.checker import Violation, violations
from scripts.chaos_lab.history import Event, Way
from scripts.chaos_lab.ledger import Ledger

STEP_S = 0.1


class Story:
    """Who is there from the beginning: devices 1 and 2. Every method is one step, and answers the story."""

    def __init__(self, *habits: str, carbons: bool = False, token: str = "") -> None:
        self.events: list[Event] = [told.Run(1_000_000.0, 7, "a command")]
        self.at = 0.0
        self._sessions = {1: 0, 2: 0, 3: 0}
        each = habits or ("steady", "steady", "steady")
        for number, (account, habit) in enumerate(zip((1, 2, 2), each, strict=False), 1):
            jid = f"user{account}@localhost/d{number}"
            mine = token if number == 2 else ""
            self.events.append(told.Device(number, account, jid, habit, carbons=carbons, token=mine))
        self.comes(1).comes(2)

    def add(self, event: Event) -> Story:
        """Any event."""
        self.events.append(event)
        return self

    def now(self) -> float:
        """The next moment."""
        self.at = round(self.at + STEP_S, 4)
        return self.at

    def later(self, seconds: float) -> Story:
        """Time passes."""
        self.at += seconds
        return self

    def binds(self, device: int) -> Story:
        """A new session."""
        self._sessions[device] += 1
        return self.add(told.Bound(self.now(), device, self._sessions[device], 600))

    def comes(self, device: int) -> Story:
        """A new session, and the server knows that it is there."""
        self.binds(device)
        return self.add(told.Here(self.now(), device, self._sessions[device]))

    def says(self, message: int, *, device: int = 1, to: int = 2, to_device: int = 0, kept: bool = True) -> Story:
        """A message is sent, for the first time or again."""
        known = any(isinstance(event, told.Sent) and event.message == message for event in self.events)
        mine = self.now(), device, self._sessions[device]
        return self.add(told.Sent(*mine, message, to, to_device=to_device, attempt=1 + known, kept=kept))

    def taken(self, *messages: int, device: int = 1) -> Story:
        """The sender is told so."""
        for message in messages:
            self.add(told.Taken(self.now(), device, self._sessions[device], message))
        return self

    def gets(self, device: int, *messages: int, way: Way = "message", archive_id: str = "") -> Story:
        """They come, in this order."""
        for message in messages:
            mine = self.now(), device, self._sessions[device]
            self.add(told.Received(*mine, message, way, archive_id or f"id{message}"))
        return self

    def bounces(self, message: int, *, device: int = 1) -> Story:
        """It comes back."""
        mine = self.now(), device, self._sessions[device]
        return self.add(told.Bounced(*mine, message, "service-unavailable"))

    def cut(self, device: int) -> Story:
        """The link is lost."""
        return self.add(told.Cut(self.now(), device, self._sessions[device]))

    def resumes(self, device: int) -> Story:
        """The session goes on."""
        return self.add(told.Resumed(self.now(), device, self._sessions[device]))

    def refused(self, device: int, *, handled: bool = True) -> Story:
        """The session cannot be resumed."""
        mine = self.now(), device, self._sessions[device]
        return self.add(told.Refused(*mine, "item-not-found", handled))

    def leaves(self, device: int, how: str) -> Story:
        """From now on the session may be over."""
        return self.add(told.Leaving(self.now(), device, self._sessions[device], how))

    def sure(self, device: int, received: int) -> Story:
        """So much of this session is acknowledged for sure."""
        return self.add(told.Sure(self.now(), device, self._sessions[device], received))

    def sleeps(self, device: int = 2) -> Story:
        """It lets go of its link."""
        self.add(told.Asleep(self.now(), device))
        return self.cut(device)

    def wakes(self, why: str, device: int = 2) -> Story:
        """It comes back."""
        self.add(told.Awake(self.now(), device, why))
        return self.resumes(device)

    def pushed(self, device: int = 2, *, ago_s: float = 0.0) -> Story:
        """A provider accepted a push."""
        return self.add(told.Pushed(self.now() - ago_s, device, "p1"))

    def struck(self, what: str, whom: str, seconds: float = 0.0) -> Story:
        """The nemesis did something."""
        at = self.now()
        return self.add(told.Struck(at, at + seconds, what, whom))

    def shown(self, account: int, *messages: int) -> Story:
        """What the account's archive holds."""
        for message in messages:
            self.add(told.Shown(account, message, f"id{message}"))
        return self

    def counted(self, waiting: int = 0, **fates: int) -> Story:
        """What the server has counted."""
        return self.add(told.Counted(fates, waiting))

    @property
    def ledger(self) -> Ledger:
        """The story's messages and devices."""
        return Ledger.of(self.events)

    @property
    def found(self) -> list[Violation]:
        """What is wrong with it."""
        return list(violations(self.ledger))

    @property
    def broken(self) -> list[tuple[str, int, int]]:
        """Rule, message and device of each breach."""
        return [(one.rule, one.message, one.device) for one in self.found]
