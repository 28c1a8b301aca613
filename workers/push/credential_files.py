"""The files that an app's settings name: are they there, and are they what the provider takes?"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from workers.push.credential import CredentialError
from workers.push.settings import FCM, WEBPUSH, AppSettings

Stamp = tuple[tuple[int, int, int] | None, ...]
"""What tells that a file is not the one it was: time of change, size, inode; of each of an app's files."""

_FILES = ("key_file", "certificate_file", "service_account_file", "vapid_key_file", "ca_file")


def stamp_of(app: AppSettings) -> Stamp:
    """The state of an app's files now. Symbolic links are followed: that is how mounted secrets change."""
    return tuple(_stamp(str(getattr(app, name))) for name in _FILES)


def _stamp(file: str) -> tuple[int, int, int] | None:
    with suppress(OSError):
        if file:
            found = Path(file).stat()
            return found.st_mtime_ns, found.st_size, found.st_ino
    return None


def faults_of(app: AppSettings) -> Iterator[str]:
    """One line for each file that cannot be used, beginning with the setting's name. Asks nobody over the network."""
    checks: dict[str, Callable[[str], object]] = {"ca_file": _authorities}
    if app.provider == FCM:
        checks["service_account_file"] = _service_account
    elif app.provider == WEBPUSH:
        checks["vapid_key_file"] = partial(_vapid_key, public=app.vapid_public_key)
    else:
        checks |= {"key_file": _key, "certificate_file": _certificate}
    for name, check in checks.items():
        file = str(getattr(app, name))
        if not file:
            continue
        try:
            Path(file).read_bytes()
            check(file)
        except CredentialError as error:
            yield f"{name}: {error}"
        except OSError as error:
            yield f"{name}: {file}: cannot be read: {error.strerror or error}"


def _key(file: str) -> None:
    from workers.push.providers.apns.token import load_key

    load_key(file)


def _vapid_key(file: str, *, public: str) -> None:
    from workers.push.providers.webpush.keys import public_key

    found = public_key(file)
    if public and public.rstrip("=") != found:
        raise CredentialError(f"{file}: vapid_public_key is not the public half of this key, which is {found}")


def _service_account(file: str) -> None:
    # firebase_admin costs a second, which a check of an installation without Android need not pay.
    from workers.push.providers.fcm.token import AccessToken

    AccessToken(file, ca_file="", timeout_s=1.0).close()


def _certificate(file: str) -> None:
    try:
        # An empty password: without one OpenSSL would ask for it on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(file, password=lambda: "")
    except ssl.SSLError as error:
        raise CredentialError(
            f"{file}: does not hold a certificate and its private key in PEM form, without a password"
        ) from error


def _authorities(file: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError as error:
        raise CredentialError(f"{file}: holds no certificate in PEM form") from error
