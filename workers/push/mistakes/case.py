"""What is known of a push that does not work: what a provider or we said about it, and what can be seen besides."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from workers.push.settings import AppSettings

SKEW_S: Final = 120.0
"""A clock that is wrong by more explains refusals; less may be the time that an answer took."""

_HEX: Final = re.compile(r"[0-9A-Fa-f]{64,200}")
_REGISTRATION: Final = re.compile(r"[\w-]{8,}:APA91[\w-]{20,}|[\w-]{100,}")
_KEY_FILE: Final = re.compile(r"AuthKey_([0-9A-Z]{10})\b")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One push, or one app, that does not work.

    `said`: a provider's reason, our own words where it gave none, or a line of `config check`. `provider`: apns, fcm,
    webpush, appserver, or "" if not known. `app`: its settings. `token`: the device token that was used, "" = none.
    `environment`: where the push went, "" = as the app's settings say. `skew_s`: how far our clock is ahead of the
    provider's.
    """

    said: str
    provider: str = ""
    app: AppSettings | None = None
    token: str = field(default="", repr=False)
    environment: str = ""
    skew_s: float = 0.0

    @property
    def at(self) -> str:
        """Where the push went: production, sandbox, auto, or "" if nobody knows."""
        return self.environment or (self.app.environment if self.app is not None else "")

    @property
    def is_by_certificate(self) -> bool:
        """APNs without a provider token."""
        return self.app is not None and bool(self.app.certificate_file)

    @property
    def key_id_of_file(self) -> str:
        """The key id that Apple put into the name of the key's file, "" if somebody renamed it."""
        return key_id_of(self.app.key_file) if self.app is not None else ""


def key_id_of(file: str) -> str:
    """The key id in the name `AuthKey_XXXXXXXXXX.p8` under which Apple hands a key out, else ""."""
    found = _KEY_FILE.search(Path(file).name)
    return found.group(1) if found else ""


def is_skewed(case: Case) -> bool:
    """Is our clock, or the provider's, wrong?"""
    return abs(case.skew_s) > SKEW_S


def is_decorated(token: str) -> bool:
    """Has the token blanks, brackets or quotes, as the description of an object in a debugger has?"""
    return bool(re.search(r"[\s<>\"'{}]", token))


def is_of_apns(token: str) -> bool:
    """Does it look like a device token of Apple's?"""
    return bool(_HEX.fullmatch(token))


def is_of_fcm(token: str) -> bool:
    """Does it look like a registration token of Google's?"""
    return bool(_REGISTRATION.fullmatch(token)) and not is_of_apns(token)


def is_of_web_push(token: str) -> bool:
    """Does it look like the endpoint of a subscription (RFC 8030)?"""
    return token.startswith(("https://", "http://"))
