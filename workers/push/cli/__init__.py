"""`wakegate push`: the worker, and what an operator asks about pushes."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.configuration import begin, config_option, read
from workers.push.cli.adding import add_app
from workers.push.cli.checking import check
from workers.push.cli.dead import dead
from workers.push.cli.testing import test
from workers.push.cli.tracing import trace

__all__ = ["push"]


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def push(context: click.Context, config: tuple[Path, ...]) -> None:
    """Run one push worker: it wakes phones through Apple and Google. Several share the work.

    With a command, look after pushes instead.

    Example: wakegate push --config config/wakegate.toml
    """
    if context.invoked_subcommand is None:
        from workers.push.worker import run  # the other commands need none of it

        run(begin(config), again=lambda: read(config))


for command in (add_app, check, test, trace, dead):
    push.add_command(command)
