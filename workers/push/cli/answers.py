"""What `add-app` is told: by flags, by what the app's section held before, or by asking."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from workers.push.mistakes.case import key_id_of
from workers.push.settings import APNS, AVAILABLE, CONTENTS, FCM

WEBPUSH: Final = "webpush"
APPSERVER: Final = "appserver"
CREDENTIALS: Final = ("key_file", "certificate_file", "service_account_file", "vapid_key_file")
"""settings that name files with secrets"""

_OF_PROVIDER: Final = {
    APNS: ("topic", "team_id", "key_id", "key_file", "certificate_file", "environment", "sandbox_endpoint"),
    FCM: ("service_account_file",),
    WEBPUSH: ("vapid_key_file", "vapid_public_key", "vapid_subject", "allow_private"),
    APPSERVER: ("service",),
}


@dataclass
class Answers:
    """`known`: settings of the app so far. `asks`: somebody is there who can be asked for what is missing."""

    known: dict[str, Any]
    asks: bool

    @classmethod
    def of(cls, given: Mapping[str, Any], former: Mapping[str, Any], *, asks: bool) -> Answers:
        """Flags that were given come before what the section held; of another provider's section nothing is kept."""
        said = {name: value for name, value in given.items() if value}
        kept = dict(former)
        provider = said.get("provider", kept.get("provider"))
        if kept.get("provider") != provider:
            others = {name for names in _OF_PROVIDER.values() for name in names} | {"endpoint", "ca_file", "provider"}
            kept = {name: value for name, value in kept.items() if name not in others}
        if "key_file" in said:
            kept.pop("certificate_file", None)
            kept.pop("key_id", None)
        if "certificate_file" in said:
            for name in ("key_file", "key_id", "team_id"):
                kept.pop(name, None)
        return cls({**kept, **said}, asks)

    def complete(self) -> dict[str, Any]:
        """All that the provider needs. Raises UsageError for what is missing and cannot be asked."""
        provider = self._need("provider", "Who delivers", choices=AVAILABLE)
        {APNS: self._apns, FCM: self._fcm, WEBPUSH: self._webpush, APPSERVER: self._appserver}[provider]()
        for name in CREDENTIALS:
            if self.known.get(name):
                self.known[name] = str(Path(self.known[name]).expanduser())
        if self.asks:
            self._need("content", "The most that the provider is told", choices=CONTENTS, default="none")
        return self.known

    def _apns(self) -> None:
        if not (self.known.get("key_file") or self.known.get("certificate_file")):
            file = self._asked("--key-file", "File from Apple: the .p8 key, or a certificate with its key (PEM)")
            self.known["certificate_file" if _is_certificate(Path(file).expanduser()) else "key_file"] = file
        self._need("topic", "Bundle ID of the app")
        if self.known.get("key_file"):
            self._need("key_id", "Key id, ten characters", default=key_id_of(self.known["key_file"]))
            self._need("team_id", "Team id, ten characters")
        if self.asks:
            choices = ("production", "sandbox", "auto")
            self._need("environment", "Where device tokens come from", choices=choices, default="auto")

    def _fcm(self) -> None:
        self._need("service_account_file", "JSON file of the service account (Firebase console, Service accounts)")

    def _webpush(self) -> None:
        self._need("vapid_subject", "Address under which push services reach you, mailto: or https:")

    def _appserver(self) -> None:
        self._need("service", "JID of the app server")

    def _need(self, name: str, question: str, *, choices: Sequence[str] = (), default: str = "") -> str:
        value = self.known.get(name)
        if not value:
            flag = "--" + name.replace("_", "-")
            value = self.known[name] = self._asked(flag, question, choices=choices, default=default)
        return str(value)

    def _asked(self, flag: str, question: str, *, choices: Sequence[str] = (), default: str = "") -> str:
        if not self.asks:
            if default:
                return default
            raise click.UsageError(f"{flag} is missing")
        try:
            kind = click.Choice(choices) if choices else str
            return str(click.prompt(question, type=kind, default=default or None)).strip()
        except click.Abort:
            if sys.stdin.isatty():
                raise
            hint = "; with --yes it may be left out" if default else ""
            raise click.UsageError(f"{flag} is missing, and nobody is there to be asked{hint}") from None


def _is_certificate(file: Path) -> bool:
    try:
        return b"BEGIN CERTIFICATE" in file.read_bytes()
    except OSError:
        return False
