"""Access tokens for a service account: firebase_admin reads the file, google-auth signs, our own HTTP fetches (RFC
7523).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import gevent
from firebase_admin import credentials
from gevent.lock import BoundedSemaphore
from google.auth import exceptions

from gateway.errors import WakegateError
from gateway.mailbox.errors import StoreError
from workers.push.credential import CredentialError
from workers.push.http1 import HttpPool
from workers.push.reply import Reply
from workers.push.token_store import LocalTokenStore, Minted, TokenStore

EARLY_S: Final = 300.0
"""Renewed this long before its end, so that no push meets the end."""

PAUSE_S: Final = 5.0
"""After a failure nobody asks Google again for this long."""

LOOK_EVERY_S: Final = 0.1
"""While another worker asks Google, how often is looked for what it got."""


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
    """The token of one service account: one for all workers, fetched by one greenlet of one of them while the others
    wait for it. Without the store (Redis is away) each worker has its own.
    """

    def __init__(
        self,
        file: str,
        *,
        ca_file: str,
        timeout_s: float,
        store: TokenStore | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Reads the file and parses its key, which takes tens of milliseconds: once. Raises CredentialError."""
        try:
            self._name = f"fcm:{hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]}"
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
        self._store = store or LocalTokenStore()
        self._clock = clock
        self._current: Minted | None = None
        self._lock = BoundedSemaphore(1)
        self._timeout_s = timeout_s
        self._failure: AccessTokenError | None = None
        self._failed_at = 0.0

    @property
    def age_s(self) -> float | None:
        """How old the token in use is; None before the first push."""
        return None if self._current is None else self._current.age_s(self._clock())

    def bearer(self) -> str:
        """A token that is good for minutes at least. Raises AccessTokenError."""
        current = self._current
        if current is not None and self._is_good(current):
            return current.token
        return self._other(lambda: self._current is None or not self._is_good(self._current))

    def renewed(self, rejected: str) -> str:
        """Another token than the one that was refused. Raises AccessTokenError."""
        return self._other(lambda: self._current is None or self._current.token == rejected)

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.close()

    def _is_good(self, minted: Minted) -> bool:
        return minted.left_s(self._clock()) > EARLY_S

    def _other(self, is_needed: Callable[[], bool]) -> str:
        """The token of whoever has a newer one, or our own. One greenlet at a time."""
        if not self._lock.acquire(timeout=self._timeout_s):
            raise AccessTokenError("another greenlet is still fetching a token", refused=False)
        try:
            if is_needed():
                self._share(is_needed)
            assert self._current is not None
            return self._current.token
        finally:
            self._lock.release()

    def _share(self, is_needed: Callable[[], bool]) -> None:
        """Take another worker's token, or fetch one for all of them: the one with the lease does."""
        deadline = time.monotonic() + self._timeout_s
        try:
            while not self._adopt(is_needed):
                is_late = time.monotonic() >= deadline
                if is_late or self._store.lease(self._name, seconds=self._timeout_s):
                    self._fetch_for_all(is_needed)
                    return
                gevent.sleep(LOOK_EVERY_S)
        except StoreError:
            self._current = self._fetch()

    def _adopt(self, is_needed: Callable[[], bool]) -> bool:
        kept = self._store.current(self._name)
        if kept is None or not self._is_good(kept):
            return False
        before, self._current = self._current, kept
        if not is_needed():
            return True
        self._current = before
        return False

    def _fetch_for_all(self, is_needed: Callable[[], bool]) -> None:
        try:
            if not self._adopt(is_needed):  # it may have come between the last look and the lease
                self._current = self._fetch()
                self._store.offer(self._name, self._current, floor_s=0)
        finally:
            self._store.release(self._name)

    def _fetch(self) -> Minted:
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
            return self._minted()
        self._failed_at = time.monotonic()
        raise self._failure

    def _minted(self) -> Minted:
        now = int(self._clock())
        expiry = self._credential.expiry
        ends_at = expiry.replace(tzinfo=UTC).timestamp() if expiry is not None else now
        return Minted(str(self._credential.token), now, max(0, int(ends_at - now)))


def _split(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path or "/"
