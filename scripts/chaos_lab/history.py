"""What happened in a run, one event a line: JSON arrays whose first item names the event.

Times are seconds since the run began, all by the clock of the process that runs the clients. The order of the lines is
the order in which that process saw things. Devices, accounts and messages are numbers; a device's sessions are counted
from 1, a resumed session keeps its number.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

Way = Literal["message", "received", "sent"]
"""As a message of its own, as a copy of what another device got, or of what another device sent (XEP-0280)."""


class _Event(msgspec.Struct, frozen=True, array_like=True, kw_only=False):
    """Every event but the first begins with its time."""


class Run(_Event, frozen=True, tag="run"):
    """What was run: the first line. `started` in Unix seconds; `push_grace_s` as `scripts/chaos run` takes it."""

    started: float
    seed: int
    command: str
    push_grace_s: float = 1.0


class Device(_Event, frozen=True, tag="device"):
    """A client. `habit` as in habits.py; `token` empty: no push."""

    device: int
    account: int
    jid: str
    habit: str
    carbons: bool = False
    token: str = ""


class Bound(_Event, frozen=True, tag="bound"):
    """A new session. `resumable_s`: for so long, as the server said."""

    at: float
    device: int
    session: int
    resumable_s: int


class Here(_Event, frozen=True, tag="here"):
    """The server has acknowledged the presence (and that copies are wanted, if they are): from now on all is for it."""

    at: float
    device: int
    session: int


class Cut(_Event, frozen=True, tag="cut"):
    """The link is lost, by the client's own doing or another's. The session may be resumed."""

    at: float
    device: int
    session: int
    why: str = ""


class Resumed(_Event, frozen=True, tag="resumed"):
    """The session goes on. What the client had received up to here is acknowledged for sure."""

    at: float
    device: int
    session: int


class Refused(_Event, frozen=True, tag="refused"):
    """The session cannot be resumed. `handled`: the server said (`h`) what it had taken of it."""

    at: float
    device: int
    session: int
    condition: str
    handled: bool


class Leaving(_Event, frozen=True, tag="leaving"):
    """From now on the session may be over. "close": its stream ends in order, or what replaced it was lost before it
    could be resumed; "anew": the next one replaces it; "expire": it is left for longer than it can be resumed.
    """

    at: float
    device: int
    session: int
    how: str


class Sure(_Event, frozen=True, tag="sure"):
    """The first `received` messages and copies of this session are acknowledged for sure."""

    at: float
    device: int
    session: int
    received: int


class Sent(_Event, frozen=True, tag="sent"):
    """A message is about to be written, in order. `to_device` 0: to the bare JID. `attempt`: 2 for the second time, in
    another session. `kept` false: not archived, so it may be bounced.
    """

    at: float
    device: int
    session: int
    message: int
    to_account: int
    to_device: int = 0
    attempt: int = 1
    kept: bool = True


class Taken(_Event, frozen=True, tag="taken"):
    """The server has acknowledged it (XEP-0198)."""

    at: float
    device: int
    session: int
    message: int


class Received(_Event, frozen=True, tag="received"):
    """A message came."""

    at: float
    device: int
    session: int
    message: int
    way: Way = "message"
    archive_id: str = ""
    late: bool = False


class Bounced(_Event, frozen=True, tag="bounced"):
    """A message came back as an error."""

    at: float
    device: int
    session: int
    message: int
    condition: str


class StreamFailed(_Event, frozen=True, tag="stream-failed"):
    """The server ended the stream with an error, or the client saw a mistake of the server's."""

    at: float
    device: int
    session: int
    what: str


class Asleep(_Event, frozen=True, tag="asleep"):
    """A device with push has acknowledged what it had, and lets go of its link."""

    at: float
    device: int


class Awake(_Event, frozen=True, tag="awake"):
    """It begins to connect: because of a "push", by its own "timer", or at the "end" of the run."""

    at: float
    device: int
    why: str


class Pushed(_Event, frozen=True, tag="pushed"):
    """A provider accepted a push for a device, at this time by the provider's clock."""

    at: float
    device: int
    push_id: str


class Struck(_Event, frozen=True, tag="struck"):
    """The nemesis did something; `until`: when it was over (equal to `at` if it has no length)."""

    at: float
    until: float
    what: str
    whom: str


class Unsettled(_Event, frozen=True, tag="unsettled"):
    """At the end, with everything healed and time given, this was still not done."""

    at: float
    device: int
    what: str


class Shown(_Event, frozen=True, tag="shown"):
    """The archive of an account, read at the end, in its order."""

    account: int
    message: int
    archive_id: str = ""


class Counted(_Event, frozen=True, tag="counted"):
    """What `wakegate status --json` says at the end."""

    fates: dict[str, int]
    waiting: int


Event = (
    Run
    | Device
    | Bound
    | Here
    | Cut
    | Resumed
    | Refused
    | Leaving
    | Sure
    | Sent
    | Taken
    | Received
    | Bounced
    | StreamFailed
    | Asleep
    | Awake
    | Pushed
    | Struck
    | Unsettled
    | Shown
    | Counted
)


class History:
    """Writes events to a file, in the order in which they are noted."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._encoder = msgspec.json.Encoder(decimal_format="number")
        self._out = file.open("wb", buffering=1 << 20)
        self._began = time.monotonic()
        self.started = time.time()
        self.count = 0

    @property
    def now(self) -> float:
        """Seconds since the run began, to the tenth of a millisecond."""
        return round(time.monotonic() - self._began, 4)

    def note(self, event: Event) -> None:
        """The next line."""
        self.count += 1
        self._out.write(self._encoder.encode(event) + b"\n")

    def close(self) -> None:
        """All lines are in the file."""
        self._out.close()


def write(file: Path, events: Iterable[Event]) -> None:
    """A whole history at once."""
    encoder = msgspec.json.Encoder()
    file.write_bytes(b"".join(encoder.encode(event) + b"\n" for event in events))


def read(file: Path) -> Iterator[Event]:
    """The events of a file, in order. Raises ValueError with the number of a line that is none; a last line that was
    cut off, as by a killed run, is passed over.
    """
    decoder = msgspec.json.Decoder(Event)
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise ValueError(f"{file}, line {number}: {error}") from error
