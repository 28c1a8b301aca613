"""Is a credential what the provider takes? Asks nobody over the network: keys sign, and dates and names fit."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jwt

from workers.push.configure import certificates
from workers.push.credential import CredentialError
from workers.push.mistakes.case import key_id_of
from workers.push.settings import APNS, FCM, AppSettings

_TEN: Final = re.compile(r"[0-9A-Z]{10}")
_BUNDLE_ID: Final = re.compile(r"[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)+")
_SUFFIXES: Final = (".voip", ".complication", ".pushkit.fileprovider", ".push-type.liveactivity", ".voip-ptt")
SOON: Final = timedelta(days=30)


@dataclass(frozen=True)
class Remark:
    """One line about an app. A `fault` keeps it from working, now or at the provider; others are good to know."""

    text: str
    fault: bool = False


def review(app: AppSettings, *, now: float | None = None) -> list[Remark]:
    """Everything that can be said of an app without asking its provider; `now` in UNIX seconds."""
    settled = [Remark(line, fault=True) for line in (*app.faults(), *app.file_faults())]
    judges = {APNS: _apns, FCM: _fcm, "webpush": _webpush}
    judge = judges.get(app.provider)
    found = list(judge(app, time.time() if now is None else now)) if judge is not None else []
    said = {remark.text for remark in settled}
    return settled + [remark for remark in found if remark.text not in said]


def _fault(text: str) -> Remark:
    return Remark(text, fault=True)


def _apns(app: AppSettings, now: float) -> Iterator[Remark]:
    yield from _topic(app)
    if app.certificate_file:
        yield from _certificate(app, datetime.fromtimestamp(now, UTC))
    elif app.key_file:
        yield from _key(app)


def _topic(app: AppSettings) -> Iterator[Remark]:
    topic = app.topic
    if not topic:
        return
    suffix = next((suffix for suffix in _SUFFIXES if topic.endswith(suffix)), "")
    if suffix:
        yield _fault(f"topic: must be the bundle ID alone; the suffix {suffix} is added where it is needed")
    elif not _BUNDLE_ID.fullmatch(topic):
        yield _fault(f"topic: a bundle ID looks like org.example.chat, got {topic!r}")
    elif app.team_id and topic.startswith(f"{app.team_id}."):
        yield _fault("topic: must be the bundle ID without the team's prefix")


def _key(app: AppSettings) -> Iterator[Remark]:
    for name in ("team_id", "key_id"):
        value = getattr(app, name)
        if len(value) == 10 and not _TEN.fullmatch(value):
            yield _fault(f"{name}: ten capital letters and digits, got {value!r}")
    named = key_id_of(app.key_file)
    if named and app.key_id and named != app.key_id:
        yield _fault(f"key_id: is {app.key_id}, but Apple named the file after the key {named}")
    yield from _signs(app)


def _signs(app: AppSettings) -> Iterator[Remark]:
    from workers.push.providers.apns.token import load_key

    try:
        key = load_key(app.key_file)
    except CredentialError:
        return  # said already, as a fault of the file
    token = jwt.encode({"iss": app.team_id, "iat": 0}, key, algorithm="ES256", headers={"kid": app.key_id})
    jwt.decode(token, key.public_key(), algorithms=["ES256"])
    yield Remark(f"the key {app.key_id} of team {app.team_id} signs")


def _certificate(app: AppSettings, now: datetime) -> Iterator[Remark]:
    file = app.certificate_file
    try:
        found = certificates.read(file)
    except CredentialError as error:
        yield _fault(f"certificate_file: {error}")
        return
    day = f"{found.valid_until:%Y-%m-%d}"
    if now >= found.valid_until:
        yield _fault(f"certificate_file: {file}: the certificate has expired on {day}")
    elif now < found.valid_from:
        yield _fault(f"certificate_file: {file}: the certificate is not valid before {found.valid_from:%Y-%m-%d}")
    elif now >= found.valid_until - SOON:
        yield Remark(f"the certificate expires soon, on {day}: renew it, or change to a key")
    else:
        yield Remark(f"the certificate is good until {day}")
    if found.topics and not found.fits(app.topic):
        yield _fault(f"certificate_file: {file}: is for {', '.join(found.topics)}, not for topic {app.topic}")
    if not found.topics:
        yield _fault(f"certificate_file: {file}: is no push certificate: it names no app")
    for wanted in ("production", "sandbox") if app.environment == "auto" else (app.environment,):
        if found.environments and wanted not in found.environments:
            yield _fault(f"certificate_file: {file}: is not for {wanted}, only for {', '.join(found.environments)}")


def _fcm(app: AppSettings, _now: float) -> Iterator[Remark]:
    file = app.service_account_file
    if not file:
        return
    try:
        fields = json.loads(Path(file).read_bytes())
    except (OSError, ValueError):
        return  # said already
    if not isinstance(fields, dict):
        return
    yield from _service_account(file, fields)


def _service_account(file: str, fields: dict[str, Any]) -> Iterator[Remark]:
    where = f"service_account_file: {file}"
    if "project_info" in fields and "client" in fields:
        yield _fault(f"{where}: is the app's google-services.json; the server needs a service account's key file")
        return
    if fields.get("type") != "service_account":
        yield _fault(f"{where}: its type is {fields.get('type')!r}, not 'service_account'")
    missing = [name for name in ("project_id", "client_email", "private_key", "token_uri") if not fields.get(name)]
    if missing:
        yield _fault(f"{where}: lacks {', '.join(missing)}")
        return
    host = urlsplit(str(fields["token_uri"])).hostname or ""
    if not host.endswith("googleapis.com"):
        yield Remark(f"access tokens come from {host}, which is not Google")
    yield Remark(f"{fields['client_email']} signs for project {fields['project_id']}")


def _webpush(app: AppSettings, _now: float) -> Iterator[Remark]:
    from workers.push.providers.webpush.keys import public_key

    if app.vapid_subject and not app.vapid_subject.startswith(("mailto:", "https://")):
        yield _fault(f"vapid_subject: a mailto: or https: address is needed, got {app.vapid_subject!r}")
    elif "localhost" in app.vapid_subject:
        yield Remark("vapid_subject names localhost: Apple refuses that")
    if app.vapid_key_file:
        try:
            yield Remark(f"clients subscribe with the public key {public_key(app.vapid_key_file)}")
        except CredentialError as error:
            yield _fault(f"vapid_key_file: {error}")
