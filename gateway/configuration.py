"""The composition of the configuration: which sections there are, and how every command reads them.

Sections come from the entry point group `wakegate.settings` (setup.cfg), so that each process checks the whole file,
the sections of code it never imports included, and `gateway` need not know `workers`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from gateway import file_modes, telemetry
from gateway.greenlets import log_failures
from gateway.settings import ConfigError, Settings, load

GROUP: Final = "wakegate.settings"
DEFAULT_FILE: Final = Path("config/wakegate.toml")
FILES_VARIABLE: Final = "WAKEGATE_CONFIG"
"""Names the files when `--config` does not; several are separated as PATH is."""

ORDER: Final = (
    *("server", "listen", "tls", "redis", "nodes", "smacks", "offline", "roster", "presence", "archive"),
    *("features", "components", "push", "limits", "web", "log"),
)
"""The order of the reference; a section that is not listed comes last."""

log = telemetry.get_logger(__name__)

F = TypeVar("F", bound=Callable[..., Any])


def sections() -> dict[str, type]:
    """Section name -> its dataclass, in the order of the reference."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    names = [name for name in ORDER if name in found] + sorted(set(found) - set(ORDER))
    return {name: found[name].load() for name in names}


def config_option(command: F) -> F:
    """click: the `--config` option that all commands share; it gives the parameter `config`, a tuple of paths."""
    return click.option(
        "--config",
        "-c",
        "config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        multiple=True,
        help=f"Settings; a second file overrides the first. Default: {DEFAULT_FILE} if there is one.",
    )(command)


def files(config: Iterable[Path]) -> tuple[Path, ...]:
    """The files to read: those given, else those of $WAKEGATE_CONFIG, else the default one if it exists."""
    given = tuple(config)
    if not given:
        given = tuple(Path(name) for name in os.environ.get(FILES_VARIABLE, "").split(os.pathsep) if name)
    if not given and DEFAULT_FILE.is_file():
        given = (DEFAULT_FILE,)
    return given


def read(config: Iterable[Path] = (), overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of this process: files, then environment, then `overrides`. Raises ConfigError."""
    return load(sections(), files=files(config), environ=os.environ, overrides=overrides)


def begin(config: Iterable[Path] = (), overrides: Mapping[str, Any] | None = None) -> Settings:
    """What a long-running process does first: read the settings, write logs as they say, and look at who else may read
    or write the files with secrets. Raises ConfigError.
    """
    named = files(config)
    settings = load(sections(), files=named, environ=os.environ, overrides=overrides)
    telemetry.configure(settings.of(telemetry.LogSettings))
    log_failures()
    if faults := file_modes.faults(settings, named):
        raise ConfigError(*faults)
    for warning in file_modes.warnings(settings, named):
        log.warning("secret_readable", file=warning)
    return settings
