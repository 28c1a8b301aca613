"""`wakegate web`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.configuration import begin, config_option


@click.command()
@config_option
def web(config: tuple[Path, ...]) -> None:
    """Serve the dashboard, /metrics and /healthz at the addresses of [listen] web.

    Example: wakegate web --config config/wakegate.toml
    """
    from workers.web.process import run  # the other commands need none of it

    run(begin(config))
