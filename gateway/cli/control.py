"""How commands reach the `wakegate up` that runs: a socket beside the embedded Redis', for its own user only.

A command is one line; what happens is answered line by line, and the last line is `done` or `failed: why`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click
import gevent
from gevent.server import StreamServer

from gateway.configuration import config_option, read
from gateway.errors import WakegateError
from gateway.mailbox.embedded import socket_path
from gateway.sections import ServerSettings
from gateway.settings import Settings
from gateway.telemetry import get_logger

log = get_logger(__name__)

DONE: Final = "done"
FAILED: Final = "failed: "
CONNECT_S: Final = 5.0
LONGEST_S: Final = 3600.0
"""how long a command waits for the next line: one gateway may let its clients go for minutes"""

Action = Callable[[Callable[[str], None]], None]
"""Does what a command asks for, and gives lines about it to what it gets. Raises WakegateError."""


class ControlError(WakegateError):
    """No `wakegate up` runs, or it could not do what was asked."""

    alert = False
    metric = "control"


def control_path(settings: Settings) -> Path:
    """Where the `wakegate up` of these settings listens."""
    return socket_path(settings.of(ServerSettings).data_dir).with_name("up.sock")


class Control:
    """Listens for commands, by name, as long as `wakegate up` runs."""

    def __init__(self, path: Path, actions: Mapping[str, Action]) -> None:
        self._path = path
        self._actions = actions
        self._server: StreamServer | None = None

    def start(self) -> None:
        """Listen. Another `wakegate up` with the same data_dir keeps its socket; then this one has none."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._is_answered():
            log.warning("control_socket_taken", path=str(self._path))
            return
        with suppress(FileNotFoundError):
            self._path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        former = os.umask(0o177)
        try:
            listener.bind(str(self._path))
        finally:
            os.umask(former)
        listener.listen(8)
        self._server = StreamServer(listener, self._serve)
        self._server.start()

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.stop(timeout=1)
            self._server = None
            with suppress(FileNotFoundError):
                self._path.unlink()

    def _is_answered(self) -> bool:
        try:
            with _connected(self._path):
                return True
        except OSError:
            return False

    def _serve(self, connection: Any, _address: Any) -> None:
        def say(line: str) -> None:
            with suppress(OSError):  # who asked has gone; what was asked for goes on
                connection.sendall(f"{line}\n".encode())

        connection.settimeout(CONNECT_S)
        with connection, suppress(OSError):
            name = connection.recv(100).decode("utf-8", "replace").strip()
            action = self._actions.get(name)
            if action is None:
                say(f"{FAILED}nobody here knows what {name!r} is")
                return
            try:
                action(say)
            except WakegateError as error:
                say(f"{FAILED}{error}")
            except (Exception, gevent.Timeout) as error:
                log.exception("command_failed", command=name)
                say(f"{FAILED}{error}")
            else:
                say(DONE)


def ask(path: Path, command: str, say: Callable[[str], None]) -> None:
    """Have the running `wakegate up` do something; `say` gets each line. Raises ControlError."""
    try:
        connection = _connected(path)
    except OSError as error:
        raise ControlError(f"no `wakegate up` runs with this configuration: {error.strerror}: {path}") from error
    with connection, connection.makefile("r", encoding="utf-8") as lines:
        try:
            connection.sendall(f"{command}\n".encode())
            for line in map(str.rstrip, lines):
                if line == DONE:
                    return
                if line.startswith(FAILED):
                    raise ControlError(line.removeprefix(FAILED))
                say(line)
        except OSError as error:
            raise ControlError(f"`wakegate up` does not answer: {error}") from error
    raise ControlError("`wakegate up` ended before it was done")


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(CONNECT_S)
        connection.connect(str(path))
        connection.settimeout(LONGEST_S)
    except BaseException:
        connection.close()
        raise
    return connection


@click.command()
@config_option
def restart(config: tuple[Path, ...]) -> None:
    """Restart the gateways and workers of a running `wakegate up`, one after the other. No session is lost.

    Example: wakegate restart
    """
    ask(control_path(read(config)), "restart", click.echo)


@click.command()
@config_option
def reload(config: tuple[Path, ...]) -> None:
    """Have a running `wakegate up` follow its configuration: certificates, apps, the log's level.

    Example: wakegate reload
    """
    ask(control_path(read(config)), "reload", click.echo)
