"""`wakegate archiver`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.configuration import begin, config_option


@click.command()
@config_option
def archiver(config: tuple[Path, ...]) -> None:
    """Move older messages from Redis into the archive's database, and delete what has expired. Several may run at once.

    Example: wakegate archiver --config config/wakegate.toml
    """
    from workers.archiver.process import run  # the other commands need none of it

    run(begin(config))
