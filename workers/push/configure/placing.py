"""Where credentials live: beside the configuration, in a directory that only its owner may enter."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

from workers.push.credential import CredentialError

DIRECTORY: Final = "credentials"
LARGEST: Final = 1_048_576
"""bytes; a key, a certificate or a service account has a few thousand"""


def place(source: Path, directory: Path, *, app: str, replace: bool) -> Path:
    """Copy a credential into `directory` with mode 0600, and answer its new place.

    Its name stays, so that the key id in it can be seen, unless another app's file has that name. What is there
    already, with the same content, serves both apps. Raises CredentialError: it cannot be read or written, or this app
    has another file of that name and it is not to be replaced.
    """
    try:
        content = _read(source)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        for target in (directory / source.name, directory / f"{app}-{source.name}"):
            if not target.exists() or target.read_bytes() == content:
                return _write(target, content)
        if replace:
            return _write(target, content)
    except OSError as error:
        raise CredentialError(f"{error.filename or source}: {error.strerror or error}") from error
    raise CredentialError(f"{target}: is there already and is another one: --replace puts the new one in its place")


def _read(source: Path) -> bytes:
    with source.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise CredentialError(f"{source}: is too large to be a credential")
    return content


def _write(target: Path, content: bytes) -> Path:
    new = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
    return target
