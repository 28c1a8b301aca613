"""Access tokens for a service account: firebase_admin reads the file, google-auth signs, our own HTTP fetches (RFC
7523).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any, Final
from urllib.parse import urlsplit

from firebase_admin import credentials
from gevent.lock import BoundedSemaphore
from google.auth import exceptions

from gateway.errors import WakegateError
from workers.push.credential import CredentialError
from workers.push.http1 import HttpPool
from workers.push.reply import Reply

EARLY_S: Final = 300.0
"""Renewed this long before its end, so that no push meets the end."""

PAUSE_S: Final = 5.0
"""After a failure nobody asks Google again for this long."""


class AccessTokenError(WakegateError):
    """No access token. `refused`: Google does not take our credential, rather than could not be asked."""

    metric = "access_token"

    def __init__(self, text: str, *, refused: bool) -> None:
        super().__init__(text)
        self.refused = refused


class _Response:
    """google.auth.transport.Response"""

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.headers: Mapping[str, str] = reply.headers
        self.data = reply.body


class _Transport:
    """google.auth.transport.Request. Its failures are raised at once: google-auth would sleep and try again unseen."""

    def __init__(self, pool: HttpPool, path: str, timeout_s: float) -> None:
        self._pool = pool
        self._path = path
        self._timeout_s = timeout_s

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_kwargs: Any,
    ) -> _Response:
        if not url.endswith(self._path):
            raise exceptions.TransportError(f"only the token endpoint is asked, not {urlsplit(url).path}")  # type: ignore[no-untyped-call]
        result = self._pool.request(
            method, self._path, headers=dict(headers or {}), body=body or b"", timeout_s=timeout or self._timeout_s
        )
        if not isinstance(result, Reply):
            raise exceptions.TransportError(result.reason)  # type: ignore[no-untyped-call]
        if result.status in (408, 429) or result.status >= 500:
            raise exceptions.TransportError(f"the token endpoint answered {result.status}")  # type: ignore[no-untyped-call]
        return _Response(result)


class AccessToken:
    """The token of one service account, fetched by one greenlet at a time while the others wait for it."""

    def __init__(self, file: str, *, ca_file: str, timeout_s: float, clock: Callable[[], float] = time.time) -> None:
        """Reads the file and parses its key, which takes tens of milliseconds: once. Raises CredentialError."""
        try:
            certificate = credentials.Certificate(file)
            self.project_id = str(certificate.project_id or "")
            self._credential = certificate.get_credential()
            token_uri = str(self._credential._token_uri)
            base, path = _split(token_uri)
            self._pool = HttpPool(base, ca_file=ca_file, connections=2)
        except OSError as error:
            raise CredentialError(f"{file}: cannot be read: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, AttributeError, exceptions.GoogleAuthError) as error:
            raise CredentialError(f"{file}: is not the JSON file of a service account") from error
        if not self.project_id:
            raise CredentialError(f"{file}: has no project_id")
        self.account = str(certificate.service_account_email)
        self._transport = _Transport(self._pool, path, timeout_s)
        self._clock = clock
        self._lock = BoundedSemaphore(1)
        self._timeout_s = timeout_s
        self._failure: AccessTokenError | None = None
        self._failed_at = 0.0

    def bearer(self) -> str:
        """A token that is good for minutes at least. Raises AccessTokenError."""
        if self._is_good():
            return str(self._credential.token)
        return self._fetch(lambda: not self._is_good())

    def renewed(self, rejected: str) -> str:
        """Another token than the one that was refused. Raises AccessTokenError."""
        return self._fetch(lambda: self._credential.token == rejected)

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.close()

    def _is_good(self) -> bool:
        expiry = self._credential.expiry
        if not self._credential.token or expiry is None:
            return False
        return bool(expiry.replace(tzinfo=UTC).timestamp() - EARLY_S > self._clock())

    def _fetch(self, is_needed: Callable[[], bool]) -> str:
        if not self._lock.acquire(timeout=self._timeout_s):
            raise AccessTokenError("another greenlet is still fetching a token", refused=False)
        try:
            if is_needed():
                self._refresh()
            return str(self._credential.token)
        finally:
            self._lock.release()

    def _refresh(self) -> None:
        if self._failure is not None and time.monotonic() - self._failed_at < PAUSE_S:
            raise self._failure
        try:
            self._credential.refresh(self._transport)
        except exceptions.TransportError as error:
            self._failure = AccessTokenError(f"token endpoint: {error}", refused=False)
        except exceptions.GoogleAuthError as error:
            # Its text is Google's answer, e.g. invalid_grant: Invalid JWT Signature.
            self._failure = AccessTokenError(f"token endpoint: {error.args[0] if error.args else error}", refused=True)
        else:
            self._failure = None
            return
        self._failed_at = time.monotonic()
        raise self._failure


def _split(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path or "/"
