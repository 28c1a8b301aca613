"""`wakegate config`: check a file, print the documented default."""

from __future__ import annotations

from pathlib import Path

import click

from gateway import configuration
from gateway.mailbox.embedded import resolve
from gateway.mailbox.settings import RedisSettings
from gateway.sections import ServerSettings
from gateway.settings import ConfigError, load, reference


@click.group()
def config() -> None:
    """Check a configuration, or print the default one with every setting explained."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> int:
    """Report everything that is wrong in FILE, all at once.

    Example: wakegate config check config/wakegate.toml
    """
    try:
        settings = load(configuration.sections(), files=[file])
        resolve(settings.of(RedisSettings).url, settings.of(ServerSettings).data_dir)
    except ConfigError as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        return 1
    click.echo(f"{file}: no faults found")
    return 0


@config.command(name="reference")
def print_reference() -> None:
    """Print the default configuration with every setting, its meaning and its bounds.

    Example: wakegate config reference > wakegate.toml
    """
    click.echo(reference(configuration.sections()), nl=False)
