"""The command line. Commands are loaded when they are called; those of the workers are found by entry points."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

import click

from gateway.errors import WakegateError

GROUP: Final = "wakegate.commands"
"""Entry point group of commands that live above or beside the gateway."""

_COMMANDS: Final = {
    "up": "gateway.cli.up:up",
    "restart": "gateway.cli.control:restart",
    "reload": "gateway.cli.control:reload",
    "demo": "gateway.cli.demo:demo",
    "gateway": "gateway.cli.processes:gateway",
    "redis": "gateway.cli.processes:redis",
    "config": "gateway.cli.config:config",
    "user": "gateway.cli.user:user",
    "status": "gateway.cli.status:status",
}


class _Commands(click.Group):
    """Loads a command when it is asked for: `wakegate gateway` must not pay for firebase-admin."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which a newcomer meets them; the workers' come last."""
        return [*_COMMANDS, *sorted({point.name for point in entry_points(group=GROUP)} - set(_COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None if there is none."""
        if cmd_name in _COMMANDS:
            module, _, name = _COMMANDS[cmd_name].partition(":")
            found: Any = getattr(import_module(module), name)
        else:
            points = list(entry_points(group=GROUP, name=cmd_name))
            if not points:
                return None
            try:
                found = points[0].load()
            except (ImportError, AttributeError) as error:
                return _unusable(cmd_name, error)
        assert isinstance(found, click.Command)
        return found


def _unusable(name: str, error: Exception) -> click.Command:
    """Stands for a command of another package that is broken: the help and all other commands go on working."""

    def fail(arguments: tuple[str, ...]) -> None:
        raise click.ClickException(f"the command {name} cannot be loaded: {error}")

    arguments = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
    settings = {"ignore_unknown_options": True}
    return click.Command(name, callback=fail, params=[arguments], help="Cannot be loaded.", context_settings=settings)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="wakegate", prog_name="wakegate")
def wakegate() -> None:
    """Wakegate: an XMPP server for mobile apps. No acknowledged message is lost, and phones are woken.

    Example: wakegate up --demo
    """


def main() -> None:
    """Run a command: exit status 0 on success, 1 on failure, 2 on wrong use; errors in lines that say what to do."""
    # A process configures its log; from other commands Python would print the bare names of events.
    logging.getLogger().addHandler(logging.NullHandler())
    sys.exit(run(lambda: wakegate.main(prog_name="wakegate", standalone_mode=False)))


def run(command: Callable[[], Any]) -> int:
    """The exit status of `command`, after its error, if any, was printed to standard error."""
    try:
        result = command()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as wanted:
        return wanted.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except WakegateError as error:
        click.echo("\n".join(f"wakegate: {line}" for line in str(error).splitlines()), err=True)
        return 1
    return result if isinstance(result, int) else 0
