"""What would be sent for a push: every field of the request, but for what is secret."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from workers.push.notification import Push
from workers.push.settings import APNS, FCM, WEBPUSH, AppSettings

TOKEN: Final = "(device token)"  # noqa: S105 - stands in place of one
SECRET: Final = "(hidden)"  # noqa: S105 - stands in place of one


@dataclass(frozen=True)
class Request:
    """`payload`: as JSON where it is JSON, else text. `note`: what is not seen from it."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    payload: Any = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """As `push test --dry-run --json` prints it."""
        found = {"method": self.method, "url": self.url, "headers": self.headers, "payload": self.payload}
        return {**found, "note": self.note} if self.note else found

    def lines(self) -> list[str]:
        """For people."""
        payload = self.payload
        text = payload if isinstance(payload, str) else msgspec.json.format(msgspec.json.encode(payload)).decode()
        head = [f"{self.method} {self.url}", *(f"{name}: {value}" for name, value in self.headers.items())]
        return [*head, "", text, *(["", self.note] if self.note else [])]


def request_for(push: Push, app: AppSettings, *, now: float) -> Request:
    """The request that the app's provider would get; `now` in UNIX seconds. Raises ValueError for an address that is
    none.
    """
    makers = {APNS: _apns, FCM: _fcm, WEBPUSH: _webpush}
    return makers.get(app.provider, _appserver)(push, app, now)


def validation_of(push: Push, *, now: float) -> bytes:
    """The body with which Google judges a push and sends it to nobody."""
    from workers.push.providers.fcm.payload import payload

    return msgspec.json.encode({"validate_only": True, **msgspec.json.decode(payload(push, now=now))})


def _apns(push: Push, app: AppSettings, now: float) -> Request:
    from workers.push.providers.apns.payload import headers, payload
    from workers.push.providers.apns.settings import AUTO, PRODUCTION, origin_of

    environment = push.environment or app.environment
    origin = origin_of(app, PRODUCTION if environment == AUTO else environment)
    shown = replace(push, token=TOKEN, voip_token=TOKEN if push.voip_token else "")
    bearer = "" if app.certificate_file else SECRET
    fields = headers(shown, topic=app.topic, authority=origin.authority, bearer=bearer, now=now)
    found = {each[0].decode("ascii"): each[1].decode("ascii", "replace") for each in fields}
    url = f"https://{found.pop(':authority')}{found.pop(':path')}"
    method = found.pop(":method")
    return Request(method, url, {k: v for k, v in found.items() if k[0] != ":"}, _json(payload(push, app)))


def _fcm(push: Push, app: AppSettings, now: float) -> Request:
    from workers.push.providers.fcm.payload import payload
    from workers.push.providers.fcm.settings import VENDOR
    from workers.push.providers.fcm.token import AccessToken

    account = AccessToken(app.service_account_file, ca_file=app.ca_file, timeout_s=1.0)
    account.close()
    url = f"{app.endpoint or VENDOR}/v1/projects/{account.project_id}/messages:send"
    headers = {"authorization": f"Bearer {SECRET}", "content-type": "application/json; charset=UTF-8"}
    return Request("POST", url, headers, _json(payload(replace(push, token=TOKEN), now=now)))


def _webpush(push: Push, app: AppSettings, now: float) -> Request:
    from workers.push.providers.webpush.payload import headers, payload

    parts = urlsplit(push.token)
    has_keys = push.registration is not None and bool(push.registration.p256dh)
    fields = headers(push, authorization=f"vapid {SECRET}", is_encrypted=has_keys, now=now)
    shown = {name.lower(): value for name, value in fields.items()}
    if not has_keys:
        return Request("POST", f"{parts.scheme}://{parts.netloc}/(endpoint)", shown, "", "no payload: no --p256dh")
    note = "The payload is sent encrypted (RFC 8291)."
    return Request("POST", f"{parts.scheme}://{parts.netloc}/(endpoint)", shown, _json(payload(push, app)), note)


def _appserver(push: Push, app: AppSettings, _now: float) -> Request:
    from workers.push.providers.appserver.payload import publish

    return Request("iq set", app.service, {}, publish(push, node=TOKEN).decode())


def _json(payload: bytes) -> Any:
    return msgspec.json.decode(payload)
