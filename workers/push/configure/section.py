"""One section of a TOML file, written without touching the rest: neither its comments nor its order.

The text is edited line by line, and the result is read back: if anything but that one section would have changed, it
is not used.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.errors import WakegateError
from gateway.setting_values import as_toml

_HEADER: Final = re.compile(
    r"""\s*\[\[?\s*(?P<path>(?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*\]"""
)
_FIELD: Final = re.compile(r"\s*([\w-]+)\s*=")
_PART: Final = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


class SectionError(WakegateError):
    """The section cannot be written. The file is as it was."""

    metric = "config_section"


def is_name(text: str) -> bool:
    """Can this be the name of a section without quotes?"""
    return bool(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text))


def held(text: str, path: tuple[str, ...]) -> dict[str, Any]:
    """What a section holds now, {} if it is not there. Raises SectionError if the text is not TOML."""
    found = _find(_parsed(text), path)
    return dict(found) if isinstance(found, dict) else {}


def with_section(text: str, path: tuple[str, ...], fields: Mapping[str, Any], *, replace: bool = False) -> str:
    """`text` with the section `[path]` holding these fields, in place of what it held, or behind its last neighbour.

    What does not change keeps its line, and comments stay where they are. Raises SectionError: the section is there and
    is not to be replaced, or the text is too unusual to be edited safely.
    """
    before = _parsed(text)
    is_there = _find(before, path) is not None
    name = ".".join(path)
    if is_there and not replace:
        raise SectionError(f"[{name}] is there already: --replace puts the new one in its place")
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += end_of_line
    start, end = _place(lines, path)
    new = _rewritten([line.rstrip("\r\n") for line in lines[start:end]] or [f"[{name}]"], fields)
    if start == end:
        new = [*([""] if start and lines[start - 1].strip() else []), *new, *([""] if lines[start:] else [])]
    result = "".join([*lines[:start], *(line + end_of_line for line in new), *lines[end:]])
    if not _differs_only_there(before, result, path, dict(fields)):
        raise SectionError(f"[{name}] cannot be written without touching the rest of the file: put it in by hand")
    return result


def _rewritten(lines: list[str], fields: Mapping[str, Any]) -> list[str]:
    """A section's lines, the header first, with these fields: lines that say the same stay, other fields go."""
    left, kept = dict(fields), lines[:1]
    for line in lines[1:]:
        found = _FIELD.match(line)
        key = found.group(1) if found else ""
        if _is_comment(line):
            kept.append(line)
        elif key in left:
            value = left.pop(key)
            kept.append(line if _says(line, key, value) else f"{key} = {as_toml(value)}")
    return kept + [f"{key} = {as_toml(value)}" for key, value in left.items()]


def _says(line: str, key: str, value: Any) -> bool:
    try:
        return tomllib.loads(line) == {key: value}
    except tomllib.TOMLDecodeError:
        return False


def write(file: Path, text: str) -> None:
    """Replace a file in one step, its mode and owner kept; a new one may be read by its group. Raises SectionError."""
    real = Path(os.path.realpath(file))
    new = real.with_name(f".{real.name}.{secrets.token_hex(4)}")
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as undo:
            new.touch(mode=0o600, exist_ok=False)
            undo.callback(new.unlink, missing_ok=True)
            with new.open("w", encoding="utf-8", newline="") as target:
                target.write(text)
                target.flush()
                os.fsync(target.fileno())
            _as_before(real, new)
            new.replace(real)
    except OSError as error:
        raise SectionError(f"{file}: cannot be written: {error.strerror or error}") from error


def _as_before(real: Path, new: Path) -> None:
    try:
        was = real.stat()
    except FileNotFoundError:
        new.chmod(0o640)
        return
    with contextlib.suppress(PermissionError):
        os.chown(new, was.st_uid, was.st_gid)
    new.chmod(stat.S_IMODE(was.st_mode))


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SectionError(f"the file is not TOML: {error}") from error


def _find(tree: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if not isinstance(tree, dict) or part not in tree:
            return None
        tree = tree[part]
    return tree


def _place(lines: list[str], path: tuple[str, ...]) -> tuple[int, int]:
    """The lines to be replaced: the section's, or none, behind its last neighbour, else at the end."""
    headers = [(number, found) for number, line in enumerate(lines) if (found := _header(line))]
    bounds = [number for number, _ in headers[1:]] + [len(lines)]
    behind = len(lines)
    for (number, found), bound in zip(headers, bounds, strict=False):
        end = _last_value(lines, number, bound) + 1
        if found == path:
            return number, end
        if found[:-1] == path[:-1]:
            behind = end
    return behind, behind


def _last_value(lines: list[str], start: int, end: int) -> int:
    """The last line of a section that is neither blank nor a comment: those may belong to what follows."""
    return max(number for number in range(start, end) if number == start or not _is_comment(lines[number]))


def _is_comment(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _header(line: str) -> tuple[str, ...]:
    found = _HEADER.match(line)
    return tuple(part.strip("\"'") for part in _PART.findall(found["path"])) if found else ()


def _differs_only_there(before: dict[str, Any], result: str, path: tuple[str, ...], fields: dict[str, Any]) -> bool:
    try:
        after = tomllib.loads(result)
    except tomllib.TOMLDecodeError:
        return False
    return _find(after, path) == fields and _without(before, path) == _without(after, path)


def _without(tree: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The tree less one section, and less what is empty without it."""
    rest = {key: value for key, value in tree.items() if key != path[0]}
    below = tree.get(path[0])
    if len(path) > 1 and isinstance(below, dict):
        kept = _without(below, path[1:])
        if kept:
            rest[path[0]] = kept
    return rest
