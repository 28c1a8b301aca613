"""`wakegate sweeper`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.configuration import begin, config_option


@click.command()
@config_option
def sweeper(config: tuple[Path, ...]) -> None:
    """Keep deadlines: sessions that expire, nodes that died, retries that fell due. Several may run at once.

    Example: wakegate sweeper --config config/wakegate.toml
    """
    from workers.sweeper.process import run  # the other commands need none of it

    run(begin(config))
