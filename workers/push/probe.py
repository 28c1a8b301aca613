"""One more question to a provider that said no: for the words and the clock that answers carry beside their reason.

Outcomes keep one word of an answer, which is enough for a worker. An operator wants to know which of several mistakes
it was: Google tells in the details of an error, and every HTTP server says what time it has (RFC 9110, section 6.6.1).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from workers.push.http1 import HttpPool
from workers.push.reply import Reply, Result
from workers.push.settings import FCM, AppSettings


@dataclass(frozen=True)
class Seen:
    """`words`: what the answer gives as reasons, beyond its code; `skew_s`: how far our clock is ahead of theirs."""

    words: str = ""
    skew_s: float = 0.0


def look(app: AppSettings, *, timeout_s: float, clock: Callable[[], float] = time.time) -> Seen:
    """Ask again, with a message that is sent to nobody. Providers that tell no more than their reason: nothing."""
    if app.provider != FCM:
        return Seen()
    # firebase_admin costs a second, which a check of an installation without Android need not pay.
    from workers.push.providers.fcm.payload import check_message

    result = ask_google(app, check_message(), timeout_s=timeout_s)
    if not isinstance(result, Reply):
        return Seen()
    return Seen(_words(result.body), _skew_s(result, clock()))


def ask_google(app: AppSettings, body: bytes, *, timeout_s: float) -> Result:
    """POST one message of FCM's and keep the whole answer; where no access token is to be had, the answer that shows
    the token endpoint's clock. Raises CredentialError.
    """
    from workers.push.providers.fcm.settings import VENDOR
    from workers.push.providers.fcm.token import AccessToken, AccessTokenError

    token = AccessToken(app.service_account_file, ca_file=app.ca_file, timeout_s=timeout_s)
    try:
        headers = {"Authorization": f"Bearer {token.bearer()}", "Content-Type": "application/json; charset=UTF-8"}
        path = f"/v1/projects/{token.project_id}/messages:send"
        return _once(app.endpoint or VENDOR, "POST", path, headers, body, app=app, timeout_s=timeout_s)
    except AccessTokenError:
        parts = urlsplit(_token_uri(app.service_account_file))
        base = f"{parts.scheme}://{parts.netloc}"
        return _once(base, "GET", parts.path or "/", {}, b"", app=app, timeout_s=timeout_s)
    finally:
        token.close()


def _once(
    base: str, method: str, path: str, headers: dict[str, str], body: bytes, *, app: AppSettings, timeout_s: float
) -> Result:
    pool = HttpPool(base, ca_file=app.ca_file, connections=1, connect_timeout_s=timeout_s)
    try:
        return pool.request(method, path, headers=headers, body=body, timeout_s=timeout_s)
    finally:
        pool.close()


def _token_uri(file: str) -> str:
    return str(msgspec.json.decode(Path(file).read_bytes())["token_uri"])


def _words(body: bytes) -> str:
    """The reasons in the details of a google.rpc.Status, and its text."""
    try:
        error: Any = msgspec.json.decode(body).get("error")
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
        return ""
    if not isinstance(error, dict):
        return ""
    details = [detail for detail in error.get("details") or () if isinstance(detail, dict)]
    reasons = [str(detail["reason"]) for detail in details if detail.get("reason")]
    return " ".join([*reasons, str(error.get("message", ""))])[:500]


def _skew_s(reply: Reply, now: float) -> float:
    date = reply.headers.get("date", "")
    try:
        return now - parsedate_to_datetime(date).timestamp() if date else 0.0
    except ValueError:
        return 0.0
