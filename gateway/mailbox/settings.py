"""[redis], [smacks] and [offline]: what an operator sets about the mailbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.mailbox.dial import Address
from gateway.mailbox.embedded import EMBEDDED, resolve
from gateway.setting_values import address_fault
from gateway.settings import ConfigError, setting


@dataclass(frozen=True)
class RedisSettings:
    """[redis] Where the mailboxes live."""

    url: str = setting(
        "embedded",
        help='"embedded" starts a server of our own in data_dir; or redis://, rediss://, unix:// '
        "for a Redis >= 7.0 or Valkey >= 7.2.",
    )
    appendfsync: Literal["always", "everysec", "no"] = setting(
        "everysec",
        choices=("always", "everysec", "no"),
        help="Embedded server only: when the log reaches the disk. The death of a gateway or a worker never costs "
        'anything. "everysec": a power cut may cost the last second or two, and so may the death of Redis itself while '
        'the disk is slow. "always": neither costs anything, at the price of a disk write per batch. "no": a power cut '
        "may cost half a minute. docs/decisions/0003-durability.md has the measurements.",
    )
    timeout_s: float = setting(
        10.0, unit="s", least=0.5, most=120, help="How long one answer may take before the connection is made anew."
    )

    def faults(self) -> Iterator[str]:
        """An address that nothing can be connected to."""
        try:
            if self.url != EMBEDDED:
                Address.parse(resolve(self.url, Path()))
        except ConfigError as error:
            yield from (fault.removeprefix("redis.") for fault in error.faults)


@dataclass(frozen=True)
class SmacksSettings:
    """[smacks] XEP-0198: Stream Management."""

    smacks_hibernation_time: int = setting(
        600,
        unit="s",
        least=0,
        most=2592000,
        help="How long a lost session may be resumed, unless the client asks otherwise.",
    )
    smacks_max_hibernation_time: int = setting(
        259200,
        unit="s",
        least=0,
        most=2592000,
        help="Ceiling for what a client asks with `max`, and for devices with push; 0 = nothing can be resumed.",
    )
    smacks_max_queue_size: int = setting(
        5000,
        unit="stanzas",
        least=10,
        most=100000,
        help="A session's queue. What comes next waits in offline storage until acks make room.",
    )
    smacks_max_unacked_stanzas: int = setting(
        0,
        unit="stanzas",
        least=0,
        most=1000,
        help="Ask for an acknowledgement after so many stanzas; 0 = at every pause.",
    )
    smacks_window: int = setting(
        500,
        unit="stanzas",
        least=1,
        most=100000,
        help="So many unacknowledged stanzas may be on their way; then the writer waits for acks.",
    )
    smacks_max_ack_delay: float = setting(
        30.0,
        unit="s",
        least=0.1,
        most=3600,
        help="An <r/> unanswered for so long means that the device is not consuming: it is woken by push.",
    )
    smacks_max_old_sessions: int = setting(
        10,
        unit="sessions",
        least=0,
        most=1000,
        help="Ended sessions per user whose last count is kept for a late <resume/>.",
    )
    smacks_last_call: float = setting(
        120.0,
        unit="s",
        least=0,
        most=86400,
        help="So long before a session expires, its phone is woken once more (at most half the hibernation).",
    )
    resend_on_timeout: bool | Literal["if_offline"] = setting(
        "if_offline",
        choices=(True, False, "if_offline"),
        help="Unacknowledged messages of an expired session: true = to the user's other sessions, if_offline = to the "
        "sender as errors when the user has other sessions; both store them offline when he has none. false = always "
        "to the sender.",
    )
    location: str = setting(
        "", help='`location` on <enabled/>: "host:port" a client should try first when it resumes; "" = none.'
    )
    max_user_sessions: int = setting(
        50, unit="sessions", least=1, most=1000, help="Sessions one account may have, sleeping ones included."
    )

    def faults(self) -> Iterator[str]:
        """A time beyond its own ceiling, and a `location` that no client can connect to (RFC 6120 section 4.9.3.19)."""
        time_s, ceiling_s = self.smacks_hibernation_time, self.smacks_max_hibernation_time
        if 0 < ceiling_s < time_s:
            yield f"smacks_hibernation_time: {time_s} s, more than smacks_max_hibernation_time, {ceiling_s} s"
        fault = address_fault(self.location, least_port=1) if self.location else ""
        if fault:
            yield f'location: "{self.location}": {fault}'

    @property
    def resend(self) -> str:
        """`resend_on_timeout` as the Lua library names it: true, false or if_offline."""
        return str(self.resend_on_timeout).lower()


@dataclass(frozen=True)
class OfflineSettings:
    """[offline] XEP-0160: messages for users without an available resource."""

    access_max_user_messages: int = setting(
        1000,
        unit="messages",
        least=0,
        most=1000000,
        help="Quota per user; beyond it the sender gets service-unavailable.",
    )
    store_groupchat_messages: bool = setting(False, help="Store messages of type groupchat as well.")
