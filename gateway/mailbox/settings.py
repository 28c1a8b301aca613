"""[redis], [smacks] and [offline]: what an operator sets about the mailbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.mailbox import redis_url
from gateway.mailbox.dial import Tls
from gateway.mailbox.embedded import EMBEDDED, resolve
from gateway.mailbox.redis_url import Access, Servers
from gateway.setting_values import address_fault
from gateway.settings import ConfigError, Secret, setting


@dataclass(frozen=True)
class RedisSettings:
    """[redis] Where the mailboxes live."""

    url: str = setting(
        "embedded",
        help='"embedded" starts a server of our own in data_dir; or a Redis >= 7.0 or Valkey >= 7.2: '
        "redis://HOST:PORT, unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE (the sentinels), "
        "redis+cluster://HOST:PORT,HOST:PORT (some of the cluster's nodes). rediss://, rediss+sentinel://, "
        "rediss+cluster:// speak TLS.",
    )
    username: str = setting("", help='The user (ACL) as whom Redis lets us in; "" = its default user.')
    password: Secret = setting(
        Secret(),
        secret=True,
        help='The password of that user; "file:PATH" reads it from a file; "" = none is asked for.',
    )
    sentinel_username: str = setting("", help='The user as whom the sentinels let us in; "" = their default user.')
    sentinel_password: Secret = setting(
        Secret(), secret=True, help='Their password; "file:PATH" reads it from a file; "" = none is asked for.'
    )
    tls_ca_file: str = setting(
        "", help="PEM file with the authorities from which Redis' certificate may come; \"\" = the system's."
    )
    tls_certificate_file: str = setting(
        "", private=True, help='PEM file with the certificate that we show to Redis; "" = none.'
    )
    tls_key_file: str = setting(
        "", private=True, help='PEM file with its private key; "" = it is in the file of the certificate.'
    )
    tls_verify: Literal["hostname", "authority"] = setting(
        "hostname",
        choices=("hostname", "authority"),
        help='"hostname": the certificate names the host (or address) that is connected to. "authority": it only has '
        "to come from one of the authorities, for servers that are found by addresses which are in no certificate.",
    )
    appendfsync: Literal["always", "everysec", "no"] = setting(
        "everysec",
        choices=("always", "everysec", "no"),
        help="Embedded server only: when the log reaches the disk. The death of a gateway or a worker never costs "
        'anything. "everysec": a power cut may cost the last second or two, and so may the death of Redis itself while '
        'the disk is slow. "always": neither costs anything, at the price of a disk write per batch. "no": a power cut '
        "may cost half a minute. docs/durability.md has the measurements.",
    )
    wait_replicas: int = setting(
        0,
        unit="replicas",
        least=0,
        most=9,
        help="So many replicas have to have a write before anybody is told of it (WAIT), so that a failover to one of "
        "them does not lose it. With fewer of them nothing is taken. docs/durability.md has what it costs.",
    )
    wait_timeout: float = setting(
        1.0,
        unit="s",
        least=0.05,
        most=60,
        help="How long to wait for those replicas before the connection is made anew, which asks who is master now.",
    )
    timeout_s: float = setting(
        10.0, unit="s", least=0.5, most=120, help="How long one answer may take before the connection is made anew."
    )

    patience: float = setting(
        60.0,
        unit="s",
        least=1,
        most=86400,
        help="While Redis does not answer, clients stay connected for so long; nothing is acknowledged. Then their "
        "streams end, to be resumed.",
    )
    maxmemory: int = setting(
        0,
        unit="MiB",
        least=0,
        most=16_777_216,
        help="Embedded server only: what may be kept in memory; 0 = no limit. Beyond it new messages are refused.",
    )

    def faults(self) -> Iterator[str]:
        """An address that nothing can be connected to, and what does not go together."""
        try:
            self.servers(Path())
        except ConfigError as error:
            yield from (fault.removeprefix("redis.") for fault in error.faults)
            return
        if self.tls_key_file and not self.tls_certificate_file:
            yield "tls_key_file: tls_certificate_file is needed as well"
        if self.sentinel_username and not self.sentinel_password:
            yield "sentinel_username: a password is needed as well, in sentinel_password"
        if self.wait_replicas and self.url == EMBEDDED:
            yield "wait_replicas: the embedded server of url has no replicas"
        if self.wait_timeout >= self.timeout_s and self.wait_replicas:
            yield f"wait_timeout: less than timeout_s is needed, {self.timeout_s:g} s, got {self.wait_timeout:g}"

    def file_faults(self) -> Iterator[str]:
        """Certificates that cannot be used."""
        try:
            for address in self.servers(Path()).addresses:
                if address.tls:
                    address.tls.context()
        except ConfigError as error:
            yield from dict.fromkeys(fault.removeprefix("redis.") for fault in error.faults)

    def warnings(self) -> Iterator[str]:
        """What is set for another kind of address."""
        servers = self.servers(Path())
        if not servers.server.tls:
            for name in ("tls_ca_file", "tls_certificate_file"):
                if getattr(self, name):
                    yield f"{name}: has no effect, since url does not ask for TLS"
        if servers.kind != "sentinel" and self.sentinel_password:
            yield "sentinel_password: has no effect, since url names no sentinels"

    def servers(self, data_dir: Path) -> Servers:
        """What `url` names, with all that is needed to get in. Raises ConfigError."""
        tls = Tls(
            ca_file=self.tls_ca_file,
            certificate_file=self.tls_certificate_file,
            key_file=self.tls_key_file,
            verifies_name=self.tls_verify == "hostname",
        )
        access = Access(
            username=self.username,
            password=self.password.value(),
            sentinel_username=self.sentinel_username,
            sentinel_password=self.sentinel_password.value(),
            tls=tls,
        )
        return redis_url.parse(resolve(self.url, data_dir), access)


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
