"""A PostgreSQL of one's own, if the machine has the programs: the contract of the archive is tested with it as well."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import psycopg
from gevent import socket

from gateway.process import dies_with_parent


def bin_dir() -> Path | None:
    """Where initdb and postgres are; None if they are not there."""
    on_path = shutil.which("initdb")
    if on_path and shutil.which("postgres"):
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def _unprivileged() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: then who it runs as."""
    if os.getuid():
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


@contextmanager
def a_place() -> Iterator[Path]:
    """A directory which that user can reach; what pytest makes is its own user's only."""
    with tempfile.TemporaryDirectory(prefix="wakegate-postgres-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)


@contextmanager
def running_postgres(directory: Path, port: int = 0) -> Iterator[str]:
    """A server in `directory`, with what it holds from before; gives its address as SQLAlchemy takes it."""
    programs, user = bin_dir(), _unprivileged()
    assert programs is not None
    directory.mkdir(exist_ok=True)
    if user is not None:
        os.chown(directory, user.pw_uid, user.pw_gid)
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])

    def command(*words: str) -> subprocess.Popen[bytes]:
        with (directory / "log").open("ab") as log:
            return subprocess.Popen(
                words, cwd=directory, stdout=subprocess.DEVNULL, stderr=log, preexec_fn=_becoming(user)
            )

    data = directory / "data"
    if not data.exists():
        made = command(str(programs / "initdb"), "-D", str(data), "-U", "wakegate", "-A", "trust", "-E", "UTF8", "-N")
        assert 0 == made.wait(60)
    server = command(
        str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-F",
        "-c", "unix_socket_directories=", "-c", "max_connections=60",
    )  # fmt: skip
    try:
        with gevent.Timeout(30):
            while not _answers(port):
                assert server.poll() is None
                gevent.sleep(0.1)
        yield f"postgresql+psycopg://wakegate@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def _becoming(user: pwd.struct_passwd | None) -> Callable[[], None]:
    die = dies_with_parent()

    def prepare() -> None:
        if user is not None:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        if die is not None:
            die()

    return prepare


def _answers(port: int) -> bool:
    try:
        psycopg.connect(f"host=127.0.0.1 port={port} user=wakegate dbname=postgres connect_timeout=2").close()
    except psycopg.OperationalError:
        return False
    return True
