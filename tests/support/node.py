"""Foreign Node programs for tests: what tests/others/node/package.json names, installed once and found again.

Another package is added there by `npm install --omit-lockfile-registry-resolved --ignore-scripts NAME@VERSION`:
a lock file then says name, version and hash, but not which registry it came from.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DIRECTORY = Path(__file__).parent.parent / "others" / "node"
INSTALL_TIMEOUT_S = 240.0
LOCK_TIMEOUT_S = 300.0
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved")


@pytest.fixture(scope="session")
def node_directory() -> Path:
    """The directory to run `node` in, its packages installed. Skips where node, npm or the registry are missing."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: apt-get install nodejs npm)")
    modules = DIRECTORY / "node_modules"
    stamp = modules / ".wakegate-installed"
    wanted = hashlib.sha256((DIRECTORY / "package-lock.json").read_bytes()).hexdigest()
    with _alone(DIRECTORY / ".install-lock"):
        if not stamp.exists() or stamp.read_text() != wanted:
            _install()
            stamp.write_text(wanted)
    return DIRECTORY


def node_environment(**added: str) -> dict[str, str]:
    """The environment for a foreign client: no variable of this machine silently replaces the CA that a test names.

    Libraries on `requests` let REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE win even over `session.verify`.
    """
    traps = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "NODE_OPTIONS")
    return {name: value for name, value in os.environ.items() if name not in traps} | added


def _install() -> None:
    try:
        done = subprocess.run(
            INSTALL, cwd=DIRECTORY, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm ci took longer than {INSTALL_TIMEOUT_S:.0f} s: is its registry reachable?")
    if done.returncode == 0:
        return
    if any(code in done.stderr for code in ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "ECONNRESET")):
        pytest.skip("npm cannot reach its registry, and tests/others/node/node_modules is not there or out of date")
    pytest.fail(f"npm ci failed:\n{done.stderr}")


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Several parts of the tests run at a time; one of them installs."""
    with file.open("w") as lock:
        give_up = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                assert time.monotonic() < give_up, f"another test run holds {file} for {LOCK_TIMEOUT_S:.0f} s"
                time.sleep(0.2)
        yield
