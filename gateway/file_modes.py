"""Files that keep secrets: who on this machine may read or replace them (their modes, as POSIX has them).

Whoever may write a private key can put another one in its place: nobody means that, so it is a fault, and nothing
starts. That everybody may read it is a warning and no more: in a container the only users are those of the server, and
what mounts secrets there makes them readable for all (Kubernetes: 0644 unless `defaultMode` says otherwise). That a
group may read it is how `ssl-cert` and `fsGroup` are meant, and nothing is said of it.
"""

from __future__ import annotations

import dataclasses
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gateway.settings import Secret, Settings, declared

_PASSWORD_IN_ADDRESS: Final = re.compile(r"://[^/@\s]*:[^/@\s]+@")

_LOOKED_AT: Final = 65_536
"""bytes of a file; keys stand in front of long chains"""


def faults(settings: Settings, files: Iterable[Path] = ()) -> list[str]:
    """A line for every file with a secret, and for each of the configuration's `files`, that others may write."""
    return _written_by_others(settings, files) if settings["server"].strict_file_modes else []


def _written_by_others(settings: Settings, files: Iterable[Path]) -> list[str]:
    named = [*_secret_files(settings), *((str(file), file) for file in files), *_data_dir(settings)]
    return [f"{name}: {fault}" for name, file in named for fault in _replaceable(file)]


def warnings(settings: Settings, files: Iterable[Path] = ()) -> list[str]:
    """A line for every file with a secret that everybody may read; of `files`, those in which a secret stands."""
    files, named = list(files), list(_secret_files(settings))
    if any(_inline_secrets(settings)):
        named += [(str(file), file) for file in files]
    found = [f"{name}: {warning}" for name, file in named for warning in _readable(file)]
    return found if settings["server"].strict_file_modes else [*_written_by_others(settings, files), *found]


def _replaceable(file: Path) -> Iterator[str]:
    with suppress(OSError):  # a file that is not there is somebody else's fault, or another host's
        mode = file.stat().st_mode
        if mode & stat.S_IWOTH and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
            yield f"{file}: everybody on this machine may write it (mode {stat.S_IMODE(mode):04o}): chmod o-w {file}"
            return
        above = file.resolve().parent
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:  # the sticky bit leaves others' files alone
            yield f"{file}: everybody on this machine may replace it (mode {stat.S_IMODE(mode):04o} of {above})"


def _readable(file: Path) -> Iterator[str]:
    with suppress(OSError):
        real = file.resolve()
        mode = real.stat().st_mode
        is_reachable = all(each.stat().st_mode & stat.S_IXOTH for each in real.parents)
        if mode & stat.S_IROTH and is_reachable and _keeps_a_secret(real):
            yield (
                f"{file}: everybody on this machine may read it (mode {stat.S_IMODE(mode):04o}): chmod o-r {file}, "
                "or defaultMode: 0400 where it is mounted"
            )


def _keeps_a_secret(file: Path) -> bool:
    """A certificate without its key is for everybody."""
    with file.open("rb") as opened:
        content = opened.read(_LOOKED_AT)
    return b"PRIVATE KEY" in content or b"BEGIN CERTIFICATE" not in content


def _data_dir(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Who may write there can put a database of his own in the place of ours."""
    yield "server.data_dir", settings["server"].data_dir


def _secret_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """(name of the setting, file) of all that are named, below every section and its rows."""
    for name, field, value in _values(settings):
        if isinstance(value, Secret) and value.file:
            yield name, Path(value.file)
        elif declared(field).private and value:
            yield name, Path(str(value))


def _inline_secrets(settings: Settings) -> Iterator[str]:
    for name, _, value in _values(settings):
        is_secret = isinstance(value, Secret) and bool(value) and not value.file
        if is_secret or (isinstance(value, str) and _PASSWORD_IN_ADDRESS.search(value)):
            yield name


def _values(settings: Settings) -> Iterator[tuple[str, dataclasses.Field[Any], Any]]:
    for name in settings:
        yield from _of_section(name, settings[name])


def _of_section(name: str, section: Any) -> Iterator[tuple[str, dataclasses.Field[Any], Any]]:
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if declared(field).row is None:
            yield f"{name}.{field.name}", field, value
        else:
            for row, table in value.items():
                yield from _of_section(f"{name}.{field.name}.{row}", table)
