"""[push] and [push.apps.NAME]."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.settings import setting, tables
from gateway.xmpp.jid import JID, JIDError

APNS: Final = "apns"
FCM: Final = "fcm"
WEBPUSH: Final = "webpush"
APPSERVER: Final = "appserver"
AVAILABLE: Final = (APNS, FCM, WEBPUSH, APPSERVER)
PROVIDERS: Final = AVAILABLE
CONTENTS: Final = ("none", "sender", "body", "encrypted")


@dataclass(frozen=True)
class AppSettings:
    """[push.apps.NAME] One app of yours, as one provider knows it: what its clients register under `app`."""

    provider: str = setting(
        "",
        choices=PROVIDERS,
        help="Who delivers: Apple (apns), Google (fcm), RFC 8030 (webpush) or XEP-0357 (appserver).",
    )
    topic: str = setting("", help="APNs: the app's bundle ID.")
    team_id: str = setting("", help="APNs with a key: the ten characters that name your team at Apple.")
    key_id: str = setting("", help="APNs with a key: the ten characters that name the key.")
    key_file: str = setting("", private=True, help="APNs with a key: the .p8 file.")
    certificate_file: str = setting(
        "", private=True, help="APNs without a key: PEM file with the app's push certificate and its private key."
    )
    environment: str = setting(
        "production",
        choices=("production", "sandbox", "auto"),
        help="APNs: where device tokens come from; auto tries the other one once if the first does not know a token.",
    )
    service_account_file: str = setting(
        "", private=True, help="FCM: the JSON file of a service account that may send messages."
    )
    endpoint: str = setting("", help='"" = the vendor\'s; "https://127.0.0.1:2197" = the local sandbox.')
    sandbox_endpoint: str = setting(
        "", help='APNs: the same for the sandbox environment; "" = `endpoint` where that is set, else the vendor\'s.'
    )
    ca_file: str = setting(
        "", help='PEM file with the certificate authorities to trust for `endpoint`; "" = the system\'s.'
    )
    vapid_key_file: str = setting(
        "",
        private=True,
        help="Web Push: PEM file with the P-256 key that signs (RFC 8292); clients subscribe with its public half.",
    )
    vapid_public_key: str = setting(
        "", help="Web Push: that public half, base64url, which clients are told; `wakegate push check` prints it."
    )
    vapid_subject: str = setting("", help="Web Push: mailto: or https: address under which push services reach you.")
    allow_private: bool = setting(
        False, help="Web Push: endpoints may be in private networks. For tests and closed networks only."
    )
    service: str = setting("", help="App server: its JID (XEP-0357); a registration's token is the node there.")
    content: str = setting(
        "none", choices=CONTENTS, help="The most that is told to the provider. A client may ask for less."
    )
    message_text: str = setting(
        "New message", help="What an iPhone shows when the app itself does not replace it in time."
    )
    call_text: str = setting("Incoming call", help="The same for a call.")
    missed_call_text: str = setting("Missed call", help="The same for a call that ended unanswered.")
    message_key: str = setting("", help="iPhone: localisation key in place of message_text (loc-key).")
    call_key: str = setting("", help="The same for a call.")
    missed_call_key: str = setting("", help="The same for a missed call.")
    sound: str = setting("default", help='iPhone: name of the sound for a message; "" = none.')
    call_sound: str = setting("default", help="The same for a call.")
    badge: bool = setting(True, help="iPhone: show the number of unread messages on the app's icon.")

    def faults(self) -> Iterator[str]:
        """What is missing or not there yet, one line each, beginning with the setting's name."""
        if not self.provider:
            yield f"provider: must be set, one of {', '.join(AVAILABLE)}"
        elif self.provider not in AVAILABLE:
            yield f"provider: {self.provider!r} is not available yet; what is: {', '.join(AVAILABLE)}"
        if self.content == "encrypted" and self.provider != WEBPUSH:
            yield "content: 'encrypted' is not available yet; use none, sender or body"
        if self.provider == APNS:
            yield from self._apns_faults()
        if self.provider == FCM and not self.service_account_file:
            yield "service_account_file: must be set, the JSON file from the Firebase console"
        if self.provider == WEBPUSH:
            yield from self._webpush_faults()
        if self.provider == APPSERVER:
            yield from self._appserver_faults()
        for name in ("endpoint", "sandbox_endpoint"):
            address = str(getattr(self, name))
            if address and not address.startswith(("https://", "http://") if self.provider == FCM else "https://"):
                yield f"{name}: an https:// URL is needed, got {address!r}"

    def file_faults(self) -> Iterator[str]:
        """Files of a usable app that cannot be read or are not what they should be; paths are relative to the working
        directory.
        """
        if not any(self.faults()):
            # Here and not above: a gateway reads these settings too, without the libraries behind credentials.
            from workers.push.credential_files import faults_of

            yield from faults_of(self)

    def _webpush_faults(self) -> Iterator[str]:
        if not self.vapid_key_file:
            yield "vapid_key_file: must be set; `wakegate push add-app` makes the key"
        subject = self.vapid_subject
        if not subject.startswith(("mailto:", "https:")):
            yield "vapid_subject: must be set to a mailto: or https: address under which push services reach you"
        elif not self.allow_private and "localhost" in subject:
            # Apple takes it for a forged token (403 BadJwtToken).
            yield "vapid_subject: push services refuse localhost; give an address that works from outside"
        if self.endpoint:
            yield "endpoint: has no meaning for Web Push, as each device names its own"

    def _appserver_faults(self) -> Iterator[str]:
        try:
            JID.parse(self.service)
        except JIDError:
            yield f"service: the app server's JID is needed, got {self.service!r}"

    def _apns_faults(self) -> Iterator[str]:
        if not self.topic:
            yield "topic: must be set to the app's bundle ID"
        if bool(self.key_file) == bool(self.certificate_file):
            yield "key_file: set either key_file (with team_id and key_id) or certificate_file"
        if self.key_file:
            for name in ("team_id", "key_id"):
                if not getattr(self, name):
                    yield f"{name}: must be set, key_file is signed with under it"
                elif len(getattr(self, name)) != 10:
                    yield f"{name}: has ten characters at Apple, got {len(getattr(self, name))}"


@dataclass(frozen=True)
class PushSettings:
    """[push] When phones are woken, and how hard is tried."""

    max_devices: int = setting(
        10, unit="devices", least=1, most=1000, help="Registrations one account may have; the oldest goes."
    )
    foreign_content: str = setting(
        "none",
        choices=("none", "sender", "body"),
        help="The most that is told to app servers of others (XEP-0357), which clients name when they register.",
    )
    burst: float = setting(
        0.0, unit="s", least=0, most=5, help="Wait this long for more before the first push of a burst."
    )
    floor: float = setting(
        20.0,
        unit="s",
        least=0,
        most=3600,
        help="Least time between two pushes to one device; one trailing push makes up.",
    )
    offered_grace: float = setting(
        60.0,
        unit="s",
        least=0,
        most=3600,
        help="A link that breaks when everything was written to it already: wait this long before the push.",
    )
    active_grace: float = setting(
        0.0,
        unit="s",
        least=0,
        most=600,
        help="While another device of the account is active, wait this long for it to show the message.",
    )
    inactive_ack_delay: float = setting(
        5.0,
        unit="s",
        least=0,
        most=3600,
        help="As smacks_max_ack_delay, for a client that said it is inactive (XEP-0352) and can be pushed.",
    )
    wake_on_restart: bool = setting(
        False, help="Wake all devices whose connections a dead gateway held, though nothing waits for them."
    )
    wake_rate: float = setting(50.0, unit="devices/s", least=0.1, most=10_000, help="How fast wake_on_restart goes.")
    background_gap: float = setting(
        1200.0,
        unit="s",
        least=0,
        most=86_400,
        help="Least time between two pushes to one iPhone that show nothing; Apple throttles more.",
    )
    trace_length: int = setting(
        200, unit="decisions", least=0, most=10_000, help="Kept per account for `wakegate push trace`; 0 = none."
    )
    trace_days: int = setting(7, unit="days", least=1, most=90, help="For how long they are kept.")
    drain: float = setting(
        20.0, unit="s", least=0, most=300, help="How long a stopping worker finishes what it has in hand."
    )
    expiry: int = setting(
        14_400, unit="s", least=60, most=2_419_200, help="For how long a wake-up for a message is worth delivering."
    )
    call_expiry: int = setting(45, unit="s", least=5, most=600, help="The same for a call.")
    request_timeout: float = setting(
        15.0, unit="s", least=1, most=120, help="How long a provider may take to answer one push."
    )
    connect_timeout: float = setting(
        10.0, unit="s", least=1, most=60, help="How long connecting to a provider may take."
    )
    retry_first: float = setting(
        10.0, unit="s", least=0.1, most=600, help="Ceiling of the random wait before the second try; it doubles."
    )
    retry_most: float = setting(900.0, unit="s", least=1, most=86_400, help="The largest that ceiling gets.")
    retry_limit: int = setting(8, least=1, most=100, help="Tries before a push becomes a dead letter.")
    in_flight: int = setting(
        500, least=1, most=10_000, help="Pushes of one credential that may be under way at a time."
    )
    connections: int = setting(4, least=1, most=100, help="Connections per credential, environment and topic.")
    apps: Mapping[str, AppSettings] = tables(AppSettings, help="Your apps, as the providers know them.")
