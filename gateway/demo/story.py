"""The story that `wakegate demo` tells: links break, the gateway is killed, phones are woken, nothing is lost.

Everything in it is real: the processes, the clients on TCP and TLS, `kill -9`, the pushes at the sandbox. Scenes only
act and note what they saw; what is right is decided by gateway.demo.story_verdict.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import gevent

from gateway.demo import requests
from gateway.demo.client import Client, ResumeFailed
from gateway.demo.story_stage import DOMAIN, Stage, StageError
from gateway.demo.story_verdict import ACCEPTED, Conversation, Transcript, Wakeup, ended_in
from gateway.demo.stream import ServerSilent, StreamEnded, Unexpected

ACK_DELAY_S: Final = 3.0
HANG_S: Final = 1.0
SETTINGS: Final = f"""\
[smacks]
smacks_max_ack_delay = {ACK_DELAY_S}
[push]
# One push stands for everything that comes while a phone sleeps; the story is over before the next would be due.
floor = 60.0
"""
PUSH_S: Final = 1.0
"""How long a push may take once the server knows that the phone does not listen (issue 2)."""

WAIT_S: Final = 20.0
DELIVERY_S: Final = 8.0
"""After so long a message counts as lost."""

RETRY_S: Final = 0.05
BURST: Final = 5
STREAM_OF_MESSAGES: Final = 24
KILL_AFTER: Final = 6
PAUSE_S: Final = 0.05


class Audience(Protocol):
    """Whom the story is told."""

    def begin(self, title: str) -> None:
        """A step begins."""

    def end(self, step: Step) -> None:
        """It is over."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the story. `took_s`: how long what it tells of took."""

    title: str
    detail: str
    took_s: float
    ok: bool = True


@dataclass(slots=True)
class Line:
    """A step that is being told: what scenes add to it."""

    detail: str = ""
    took_s: float | None = None


@dataclass(slots=True)
class Device:
    """A phone: its client, and the token that its provider gave it."""

    client: Client
    app: str
    token: str
    sent: list[str] = field(default_factory=list)

    @property
    def received(self) -> tuple[str, ...]:
        """Ids of all messages that came, in order."""
        return tuple(message.stanza_id for message in self.client.messages)


class Story:
    """Plays the scenes in order."""

    def __init__(self, stage: Stage, audience: Audience) -> None:
        self._stage = stage
        self._audience = audience
        self._wakeups: list[Wakeup] = []

    def play(self) -> Transcript:
        """All scenes. Raises WakegateError if one cannot go on; the audience knows in which step."""
        with self._step("Wakegate starts: Redis, gateway, push worker, sweeper, web, push sandbox"):
            self._stage.start()
        with self._step("romeo and juliet log in") as line:
            self._romeo = self._login("romeo", "demo-android", direct_tls=False)
            self._juliet = self._login("juliet", "demo-ios", direct_tls=True)
            line.detail = "SCRAM over STARTTLS and over direct TLS; stream management on"
        try:
            return self._scenes()
        finally:
            for device in (self._romeo, self._juliet):
                device.client.cut()

    def _scenes(self) -> Transcript:
        self._register(self._juliet, "juliet")
        self._chat()
        burst_at = self._juliet_loses_her_link()
        self._gateway_is_killed()
        self._juliet_wakes_up(burst_at)
        self._register(self._romeo, "romeo")
        self._romeo_is_back_in_time()
        self._romeos_link_freezes()
        fates = self._fates()
        pairs = (("romeo to juliet", self._romeo, self._juliet), ("juliet to romeo", self._juliet, self._romeo))
        return Transcript(tuple(_conversation(*pair) for pair in pairs), tuple(self._wakeups), fates)

    # Scenes

    def _login(self, name: str, app: str, *, direct_tls: bool) -> Device:
        address = self._stage.address(direct_tls=direct_tls)
        client = Client(name, self._stage.password(name), address, resource="phone").login()
        return Device(client, app, secrets.token_hex(32))

    def _register(self, device: Device, name: str) -> None:
        with self._step(f"{name}'s phone registers for pushes") as line:
            requests.enable_push(device.client, node="phone", app=device.app, token=device.token)
            line.detail = f"XEP-0357, app {device.app}"

    def _chat(self) -> None:
        with self._step("they chat") as line:
            for _ in range(BURST):
                self._say(self._romeo, "juliet")
                self._say(self._juliet, "romeo")
            for device, other in ((self._romeo, self._juliet), (self._juliet, self._romeo)):
                device.client.wait_accepted(WAIT_S)
                device.client.wait_messages(len(other.sent), WAIT_S)
                device.client.send_ack()
            line.detail = f"{2 * BURST} messages"

    def _juliet_loses_her_link(self) -> int:
        """Answers when the burst began, in Unix milliseconds."""
        with self._step("juliet's link breaks; romeo goes on writing, and a push comes") as line:
            self._juliet.client.cut()
            burst_at = _now_ms()
            for _ in range(BURST):
                self._say(self._romeo, "juliet")
            pushes = self._stage.pushes(self._juliet.token, wait_s=WAIT_S)
            self._took(line, pushes, burst_at)
            line.detail = f"{BURST} messages, {len(pushes)} push at APNs"
        return burst_at

    def _gateway_is_killed(self) -> None:
        romeo = self._romeo.client
        writing = gevent.spawn(self._keep_writing)
        try:
            with self._step("kill -9 of the gateway while messages come in") as line:
                self._stage.wait(lambda: len(self._romeo.sent) >= 2 * BURST + KILL_AFTER, "romeo's messages", WAIT_S)
                gone = self._stage.kill_gateway()
                romeo.ended.wait(WAIT_S)
                accepted = len(set(romeo.accepted) & set(self._romeo.sent)) - 2 * BURST
                line.detail = f"process {gone} is gone; it had acknowledged {accepted} of them"
            with self._step("romeo resumes on the new process") as line:
                started = time.monotonic()
                self._come_back(self._romeo)
                line.took_s = time.monotonic() - started
                resent = len(romeo.unacked)
                writing.join(WAIT_S)
                romeo.wait_accepted(WAIT_S)
                line.detail = f"process {self._stage.gateway()}; {resent} messages without an ack go out again"
        finally:
            writing.kill()

    def _juliet_wakes_up(self, burst_at: int) -> None:
        with self._step("juliet's phone, woken by the push, resumes there as well") as line:
            before = len(self._juliet.received)
            self._come_back(self._juliet)
            self._expect_messages(self._juliet, self._romeo)
            line.detail = f"{len(self._juliet.received) - before} messages waited for her"
        self._note("juliet sleeps", self._juliet, since_ms=burst_at, wanted=1, within_s=PUSH_S)

    def _romeo_is_back_in_time(self) -> None:
        """A link that hangs for a moment, and one that breaks and is back before the message: no push."""
        phone = self._romeo.client
        with self._step("romeo's phone is back in time: no push") as line:
            at = _now_ms()
            phone.freeze()
            self._say(self._juliet, "romeo")
            gevent.sleep(HANG_S)
            phone.thaw()
            self._expect_messages(self._romeo, self._juliet)
            phone.cut()
            self._come_back(self._romeo)
            self._say(self._juliet, "romeo")
            self._expect_messages(self._romeo, self._juliet)
            pushes = self._stage.pushes(self._romeo.token, wait_s=ACK_DELAY_S + PUSH_S)
            line.detail = f"2 messages, {len(pushes)} pushes in {(_now_ms() - at) / 1000:.1f} s"
        self._note("romeo is back in time", self._romeo, since_ms=at, wanted=0)

    def _romeos_link_freezes(self) -> None:
        phone = self._romeo.client
        earlier = len(self._stage.pushes(self._romeo.token))
        with self._step("romeo's link freezes, its socket open; a push comes") as line:
            phone.freeze()
            at = _now_ms()
            for _ in range(BURST):
                self._say(self._juliet, "romeo")
            if earlier == 0:
                self._took(line, self._stage.pushes(self._romeo.token, wait_s=WAIT_S), at)
            line.detail = f"{BURST} messages without an ack for {ACK_DELAY_S:g} s, 1 push at FCM"
        with self._step("romeo's phone, woken by the push, resumes") as line:
            self._come_back(self._romeo)
            self._expect_messages(self._romeo, self._juliet)
            line.detail = "the old link is closed, the messages are here"
        self._note("romeo's link freezes", self._romeo, since_ms=at, within_s=ACK_DELAY_S + PUSH_S, skip=earlier)

    def _fates(self) -> dict[str, int]:
        with self._step("the server's own books") as line:
            for device in (self._romeo, self._juliet):
                device.client.wait_accepted(WAIT_S)
                device.client.send_ack()
            deadline = time.monotonic() + DELIVERY_S
            while True:
                fates: dict[str, int] = self._stage.status()["fates"]
                if ended_in(fates) >= fates.get(ACCEPTED, 0) or time.monotonic() > deadline:
                    break
            line.detail = ", ".join(f"{name} {count}" for name, count in fates.items())
        return fates

    # What scenes are made of

    def _say(self, device: Device, to: str) -> None:
        """One message, with `<r/>` behind it; if the link is down it is kept, and goes out with the next resumption."""
        stanza_id = f"{device.client.username}-{len(device.sent) + 1:03}"
        device.sent.append(stanza_id)
        with suppress(StreamEnded, ServerSilent):
            device.client.send_message(f"{to}@{DOMAIN}", f"message {len(device.sent)}", stanza_id)
            device.client.request_ack()

    def _keep_writing(self) -> None:
        for _ in range(STREAM_OF_MESSAGES):
            self._say(self._romeo, "juliet")
            gevent.sleep(PAUSE_S)

    def _come_back(self, device: Device) -> None:
        """Resume as a phone does: try until somebody answers. Raises ResumeFailed, StageError."""
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                return device.client.resume()
            except ResumeFailed:
                raise
            except (StreamEnded, ServerSilent, Unexpected) as error:
                if time.monotonic() > deadline:
                    raise StageError(f"{device.client.username} cannot come back: {error}") from error
            gevent.sleep(RETRY_S)

    def _expect_messages(self, device: Device, sender: Device) -> None:
        """All that was sent; and then, behind a ping, whatever comes twice. What does not come the verdict counts."""
        with suppress(ServerSilent):
            device.client.wait_messages(len(sender.sent), DELIVERY_S)
        requests.ping(device.client)

    def _note(
        self, name: str, device: Device, *, since_ms: int, wanted: int = 1, within_s: float = 0.0, skip: int = 0
    ) -> None:
        """Which pushes there were for a device, beyond `skip` earlier ones."""
        pushes = self._stage.pushes(device.token)[skip:]
        after = tuple(int(push["received_at"]) - since_ms for push in pushes)
        self._wakeups.append(Wakeup(name, wanted, int(within_s * 1000), after))

    def _took(self, line: Line, pushes: list[dict[str, Any]], since_ms: int) -> None:
        if not pushes:
            raise StageError(f"no push within {WAIT_S:g} s")
        line.took_s = (int(pushes[0]["received_at"]) - since_ms) / 1000

    @contextmanager
    def _step(self, title: str) -> Iterator[Line]:
        line, started, ok = Line(), time.monotonic(), False
        self._audience.begin(title)
        try:
            yield line
            ok = True
        finally:
            took = time.monotonic() - started if line.took_s is None else line.took_s
            self._audience.end(Step(title, line.detail, took, ok))


def _conversation(name: str, sender: Device, receiver: Device) -> Conversation:
    sent = set(sender.sent)
    accepted = tuple(one for one in sender.client.accepted if one in sent)
    return Conversation(name, tuple(sender.sent), accepted, receiver.received)


def _now_ms() -> int:
    return int(time.time() * 1000)
