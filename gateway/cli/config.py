"""`wakegate config`: check a file, print the documented default."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gateway import configuration, file_modes
from gateway.settings import ConfigError, file_faults, load, reference, warnings


@click.group()
def config() -> None:
    """Check a configuration, or print the default one with every setting explained."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> int:
    """Report everything that is wrong in FILE and the environment, all at once, as a start would find it.

    Files that are named must be usable; their names are relative to the working directory. Warnings say what has no
    effect, and which files with secrets everybody may read; they are no failure.

    Example: wakegate config check config/wakegate.toml
    """
    try:
        settings = load(configuration.sections(), files=[file], environ=os.environ)
        faults = (*file_faults(settings), *file_modes.faults(settings, [file]))
    except ConfigError as error:
        faults = error.faults
    else:
        for warning in (*warnings(settings), *file_modes.warnings(settings, [file])):
            click.echo(f"warning: {warning}", err=True)
    for fault in faults:
        click.echo(fault, err=True)
    if faults:
        return 1
    click.echo(f"{file}: no faults found")
    return 0


@config.command(name="reference")
def print_reference() -> None:
    """Print the default configuration with every setting, its meaning and its bounds.

    Example: wakegate config reference > wakegate.toml
    """
    click.echo(reference(configuration.sections()), nl=False)
