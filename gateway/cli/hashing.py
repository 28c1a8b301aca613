"""Many passwords become credentials in a process of its own: one for each core.

The OpenSSL in `cryptography` runs PBKDF2 twice as fast as the system's 3.0 behind `hashlib`, but lets no other thread
of its process run meanwhile. So a gateway uses `hashlib` in threads, and an import of thousands this.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from gateway.errors import WakegateError
from gateway.process import dies_with_parent
from gateway.xmpp.sasl.credentials import HashName, PasswordRejected, derive

STOP_TIMEOUT_S: Final = 5.0


class HashingError(WakegateError):
    """The process that hashes passwords ended."""

    metric = "hashing"


class Hasher:
    """A process that hashes; it starts with the first password and ends with this context."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        self._process.kill()  # it holds nothing
        self._process.wait(STOP_TIMEOUT_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # a pipe that broke still holds what it could not write
                    pipe.close()

    def fields(self, passwords: Sequence[str]) -> list[dict[str, str] | str]:
        """For each password `Credentials.to_fields`, or why it cannot be used. Raises HashingError."""
        if not passwords:
            return []
        process = self._process = self._process or _start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(passwords).encode() + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError as error:
            raise HashingError(f"the process that hashes passwords cannot be reached: {error}") from error
        if not answer.endswith(b"\n"):
            raise HashingError("the process that hashes passwords ended too soon")
        found: list[dict[str, str] | str] = json.loads(answer)
        return found


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", __name__]
    return subprocess.Popen(  # noqa: S603 - ourselves
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=dies_with_parent()
    )


def stretch(hash_name: HashName, password: bytes, salt: bytes, iterations: int) -> bytes:
    """PBKDF2 (RFC 8018 section 5.2) by `cryptography`."""
    # SHA-1: SCRAM-SHA-1 is what many clients speak.
    digest = hashes.SHA1() if hash_name == "sha1" else hashes.SHA256()  # noqa: S303 - SCRAM-SHA-1 is made of it
    return bytes(PBKDF2HMAC(digest, digest.digest_size, salt, iterations).derive(password))


def serve(lines: Any, answers: Any) -> None:
    """Answer each line, a JSON list of passwords, with a JSON list of what `Hasher.fields` promises."""
    for line in lines:
        answers.write(json.dumps([_one(password) for password in json.loads(line)]).encode() + b"\n")
        answers.flush()


def _one(password: str) -> dict[str, str] | str:
    try:
        return derive(password, salt=os.urandom(16), stretch=stretch).to_fields()
    except PasswordRejected as error:
        return str(error)


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
