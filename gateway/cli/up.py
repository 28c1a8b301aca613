"""`wakegate up`: all processes of one machine under one supervisor."""

from __future__ import annotations

import secrets
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click
import gevent

from gateway import configuration
from gateway.cli import demo_setup
from gateway.cli.control import Control, control_path
from gateway.cli.store import connect
from gateway.cli.watchdog import Watchdog
from gateway.configuration import begin, config_option
from gateway.mailbox import embedded, nodes
from gateway.mailbox.node_settings import NodesSettings
from gateway.mailbox.settings import RedisSettings
from gateway.sections import ListenSettings, ServerSettings
from gateway.settings import Settings, warnings
from gateway.supervisor.child import STOP_TIMEOUT_S, ProcessSpec
from gateway.supervisor.printer import Printer
from gateway.supervisor.supervise import Supervisor
from gateway.telemetry import LogSettings

NODE_VARIABLE: Final = "WAKEGATE__SERVER__NODE"
WORKERS: Final = ("push", "sweeper", "archiver", "web")
SPARE_S: Final = 5.0
"""what a process may take beyond the time that it gives to what it has in hand"""


@click.command()
@config_option
@click.option("--gateways", type=click.IntRange(1, 256), default=1, show_default=True, help="Gateway processes.")
@click.option("--demo", is_flag=True, help="Add the push sandbox, and the accounts romeo and juliet.")
@click.option(
    "--sandbox-option",
    "sandbox_options",
    metavar="NAME=VALUE",
    multiple=True,
    help="With --demo: an option of `wakegate sandbox`, e.g. control=127.0.0.1:2300.",
)
def up(config: tuple[Path, ...], gateways: int, demo: bool, sandbox_options: tuple[str, ...]) -> None:
    """Run everything that one machine needs, until Ctrl-C; a second Ctrl-C does not wait.

    Example: wakegate up --demo
    """
    settings = begin(config)
    supervisor = Supervisor(Printer())
    # A terminal that is closed means the end; without one, SIGHUP is what `systemctl reload` sends.
    ends = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if sys.stdin.isatty() else ()))
    for number in ends:
        gevent.signal_handler(number, supervisor.request_stop)
    if signal.SIGHUP not in ends:
        gevent.signal_handler(signal.SIGHUP, supervisor.reload)
    plan = Plan(settings, configuration.files(config))
    control = Control(control_path(settings), {"restart": supervisor.restart, "reload": lambda _: supervisor.reload()})
    watchdog = Watchdog(settings, supervisor, NODE_VARIABLE)
    for warning in warnings(settings):
        supervisor.printer.line("wakegate", f"warning: {warning}")
    try:
        supervisor.start_group(plan.foundation(demo, sandbox_options))
        passwords: Mapping[str, str] = {}
        if demo and not supervisor.is_stopping():
            passwords = plan.set_up_demo()
        if not supervisor.is_stopping():
            supervisor.start_group(plan.services(gateways))
        if not supervisor.is_stopping():
            control.start()
            watchdog.start()
            for line in plan.greeting(passwords):
                supervisor.printer.line("wakegate", line)
        supervisor.wait()
    finally:
        watchdog.stop()
        control.stop()
        supervisor.stop()


class Plan:
    """Which processes run, in which order, with what."""

    def __init__(self, settings: Settings, files: tuple[Path, ...]) -> None:
        self._settings = settings
        self._server = settings.of(ServerSettings)
        self._files = tuple(file.absolute() for file in files)
        # All processes of one start write the same hash for the same push token.
        self._common = (
            {} if settings.of(LogSettings).redact_key else {"WAKEGATE__LOG__REDACT_KEY": secrets.token_hex(16)}
        )

    def foundation(self, demo: bool, sandbox_options: tuple[str, ...] = ()) -> list[ProcessSpec]:
        """What the others need: the embedded Redis unless another is configured, and the demo's sandbox."""
        found = []
        if self._settings.of(RedisSettings).url == embedded.EMBEDDED:
            found.append(self._process("redis", rolls=False))
        if demo:
            options = [f"--{option}" for option in sandbox_options]
            command = ("sandbox", "--data-dir", str(self._server.data_dir.absolute()), *options)
            found.append(ProcessSpec("sandbox", command, environ=self._environ(), rolls=False))
        return found

    def set_up_demo(self) -> Mapping[str, str]:
        """Accounts and apps of the demo; answers the accounts' passwords. Raises DemoError, StoreError."""
        self._files = (*self._files, demo_setup.write_overlay(self._server.data_dir))
        passwords = demo_setup.demo_passwords(self._server.data_dir, self._server.domains[0])
        with connect(self._settings) as journal:
            demo_setup.make_accounts(journal, passwords)
        return passwords

    def services(self, gateways: int) -> list[ProcessSpec]:
        """The gateways and the workers."""
        workers = [*WORKERS, "appserver"] if self._settings["appserver"].servers else WORKERS
        return [*(self._gateway(number) for number in range(1, gateways + 1)), *map(self._process, workers)]

    def greeting(self, passwords: Mapping[str, str]) -> list[str]:
        """What a user wants to know first; its last line says that everything serves."""
        listen = self._settings.of(ListenSettings)
        lines = [f"XMPP, STARTTLS     {address}" for address in listen.c2s]
        lines += [f"XMPP, direct TLS   {address}" for address in listen.c2s_tls]
        lines += [f"account            {user}   password {password}" for user, password in passwords.items()]
        lines += [f"dashboard          http://{address}/" for address in listen.web]
        return [*lines, "Wakegate is ready"]

    def _process(self, name: str, *, rolls: bool = True) -> ProcessSpec:
        return ProcessSpec(
            name, self._command(name), environ=self._environ(), stop_s=self._stop_s(name), rolls=rolls,
            reloads=name == "push",
        )  # fmt: skip

    def _stop_s(self, name: str) -> float:
        """How long a process may take to end in good order."""
        if name == "gateway":
            return STOP_TIMEOUT_S + self._settings.of(NodesSettings).drain_time
        return max(STOP_TIMEOUT_S, self._settings["push"].drain + SPARE_S) if name == "push" else STOP_TIMEOUT_S

    def _gateway(self, number: int) -> ProcessSpec:
        """Each start has a node name of its own: what a dead one owned is never taken for its successor's."""
        base = self._server.node or socket.gethostname()

        def environ() -> Mapping[str, str]:
            return {**self._common, NODE_VARIABLE: f"{base}-{number}-{secrets.token_hex(3)}"}

        return ProcessSpec(
            f"gateway.{number}",
            self._command("gateway"),
            environ=environ,
            on_death=self._declare_dead,
            stop_s=self._stop_s("gateway"),
            overlaps=True,
            reloads=True,
        )

    def _declare_dead(self, environ: Mapping[str, str]) -> None:
        """Its sessions hibernate now, and their phones are woken, instead of when the node's lease lapses."""
        with connect(self._settings) as journal:
            nodes.declare_dead(journal, environ[NODE_VARIABLE])

    def _command(self, name: str) -> tuple[str, ...]:
        return (name, *(part for file in self._files for part in ("--config", str(file))))

    def _environ(self) -> Callable[[], Mapping[str, str]]:
        return lambda: self._common
