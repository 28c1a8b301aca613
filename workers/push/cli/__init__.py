"""`wakegate push`: the worker, and what an operator asks about pushes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from gateway.configuration import begin, config_option, read

__all__ = ["push"]

_COMMANDS: Final = {
    "add-app": "workers.push.cli.adding:add_app",
    "check": "workers.push.cli.checking:check",
    "test": "workers.push.cli.testing:test",
    "trace": "workers.push.cli.tracing:trace",
    "dead": "workers.push.cli.dead:dead",
}


class _Commands(click.Group):
    """Loads a command when it is asked for: this module is imported by every worker, and none needs what they do."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which they are needed."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None if there is none."""
        module, _, name = _COMMANDS.get(cmd_name, "").partition(":")
        found: Any = getattr(import_module(module), name) if module else None
        return found if isinstance(found, click.Command) else None


@click.group(cls=_Commands, invoke_without_command=True)
@config_option
@click.pass_context
def push(context: click.Context, config: tuple[Path, ...]) -> None:
    """Run one push worker: it wakes phones through Apple, Google and Web Push. Several share the work.

    With a command, look after pushes instead.

    Example: wakegate push --config config/wakegate.toml
    """
    if context.invoked_subcommand is None:
        from workers.push.worker import run  # the other commands need none of it

        run(begin(config), again=lambda: read(config))
    elif config:
        raise click.UsageError(
            f"--config belongs behind the command: wakegate push {context.invoked_subcommand} --config …"
        )
