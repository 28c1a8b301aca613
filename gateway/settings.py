"""Settings: declared once, next to the code that uses them; read from a TOML file, then the environment, then flags.

A section is a frozen dataclass whose fields are made with `setting`. The loader, `wakegate config check` and the
documented default file are derived from those declarations. Everything that is wrong is reported at once, each fault
with what would be right. A section may have three methods that answer lines, each beginning with a setting's name:
`faults()` for what no single field can know (a line names every setting on which it depends), `file_faults()` for
files that cannot be used (asked by `config check`, and at its start by the process that needs them), `warnings()` for
what has no effect.
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway.errors import WakegateError
from gateway.setting_values import (
    Declared,
    FromText,
    Secret,
    UnfitError,
    as_toml,
    closest,
    show,
    suggestion,
    typed,
    within,
)

__all__ = [
    "ConfigError",
    "Declared",
    "Secret",
    "Settings",
    "declared",
    "file_faults",
    "load",
    "reference",
    "setting",
    "tables",
    "warnings",
]

ENVIRONMENT_PREFIX: Final = "WAKEGATE__"
"""`WAKEGATE__SMACKS__RESEND_ON_TIMEOUT` names `resend_on_timeout` in `[smacks]`."""

_META: Final = "wakegate"

T = TypeVar("T")


class ConfigError(WakegateError):
    """Something in the configuration is wrong. `faults` lists everything that is, one line each."""

    metric = "config"

    def __init__(self, *faults: str) -> None:
        super().__init__(*faults)
        self.faults: tuple[str, ...] = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


def setting(
    default: Any,
    *,
    unit: str = "",
    least: float | None = None,
    most: float | None = None,
    choices: Iterable[Any] | None = None,
    help: str = "",  # noqa: A002 - the word everybody knows from click and argparse
    secret: bool = False,
    private: bool = False,
) -> Any:
    """Declare one setting of a section.

    `default` may be a list (it is copied). `least` and `most` bound numbers, in `unit`, and the length of lists.
    `choices` lists the only values there are. `secret` hides the value in every report; give such a field the type
    `Secret`, whose value in the file may be `"file:PATH"`. `private`: it names a file that nobody else may read
    (`gateway.file_modes`).
    """
    allowed = None if choices is None else tuple(choices)
    said = Declared(unit, least, most, allowed, help, secret, private=private)
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata={_META: said})
    return dataclasses.field(default=default, metadata={_META: said})


def tables(row: type, *, help: str = "") -> Any:  # noqa: A002 - as in `setting`
    """Declare named sub-sections: `apps: Mapping[str, AppSettings] = tables(AppSettings)` in `[push]` reads
    every `[push.apps.NAME]`.
    """
    return dataclasses.field(default_factory=dict, metadata={_META: Declared(help=help, row=row)})


def declared(field: dataclasses.Field[Any]) -> Declared:
    """What was said about a field of a section."""
    said = field.metadata.get(_META)
    return said if isinstance(said, Declared) else Declared()


class Settings:
    """All sections, frozen: `settings["smacks"]`, `settings.smacks`, or typed as `settings.of(SmacksSettings)`."""

    __slots__ = ("_by_type", "_sections")

    def __init__(self, sections: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_sections", types.MappingProxyType(dict(sections)))
        object.__setattr__(self, "_by_type", {type(section): section for section in sections.values()})

    def of(self, section: type[T]) -> T:
        """The section declared by this dataclass; KeyError if the composition has none of it."""
        found: T = self._by_type[section]
        return found

    def __getitem__(self, name: str) -> Any:
        return self._sections[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sections)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._sections[name]
        except KeyError:
            raise AttributeError(f"no section [{name}]") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("settings are frozen")

    def __repr__(self) -> str:
        return f"Settings({', '.join(self._sections)})"


def load(
    sections: Mapping[str, type],
    *,
    files: Iterable[Path] = (),
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the settings: defaults, then `files` (TOML, later ones override), then `environ`, then `overrides`
    (`{"server.node": "a"}`).

    Raises ConfigError with every fault there is: unknown names, wrong types, values out of bounds, a file that cannot
    be read.
    """
    faults: list[str] = []
    tree: dict[str, Any] = {}
    for file in files:
        _overlay(tree, _read_file(file, faults))
    for name in sorted(environ or {}):
        if name.startswith(ENVIRONMENT_PREFIX) and environ is not None:
            path = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            _place(tree, sections, path, FromText(environ[name], name))
    for dotted, value in (overrides or {}).items():
        _place(tree, sections, dotted.split("."), FromText(value, dotted) if isinstance(value, str) else value)
    faults.extend(f"[{name}]: unknown section{suggestion(name, sections)}" for name in tree if name not in sections)
    built = {}
    for name, section in sections.items():
        table = tree.get(name, {})
        if isinstance(table, dict):
            built[name] = _build(section, table, name, faults)
        else:
            faults.append(f"{name}: a section is needed, [{name}], got {show(table)}")
    if faults:
        raise ConfigError(*faults)
    return Settings(built)


def _read_file(file: Path, faults: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        faults.append(f"{file}: cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        faults.append(f"{file}: not UTF-8 (byte {error.start})")
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{file}: not TOML: {error}")
    return {}


def _overlay(tree: dict[str, Any], upper: Mapping[str, Any]) -> None:
    for name, value in upper.items():
        below = tree.get(name)
        if isinstance(below, dict) and isinstance(value, dict):
            _overlay(below, value)
        else:
            tree[name] = value


def _place(tree: dict[str, Any], sections: Mapping[str, type], path: list[str], value: Any) -> None:
    """Put a value from the environment or a flag where the file would have had it."""
    node: dict[str, Any] = tree
    rows = [f.name for f in dataclasses.fields(sections[path[0]]) if declared(f).row] if path[0] in sections else []
    for depth, part in enumerate(path[:-1]):
        name = part
        if depth == 2 and path[1] in rows:
            # Environment names know neither hyphens, dots nor case: `CHAT_IOS` means the file's `chat-ios`.
            name = next((known for known in node if _folded(known) == _folded(part)), part)
        below = node.setdefault(name, {})
        if not isinstance(below, dict):
            below = node[name] = {}
        node = below
    node[path[-1]] = value


def _folded(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _build(section: type, table: Mapping[str, Any], where: str, faults: list[str]) -> Any:
    """Make a section's dataclass from its table; None if that failed."""
    hints = typing.get_type_hints(section)
    fields = {field.name: field for field in dataclasses.fields(section)}
    values: dict[str, Any] = {}
    unfit: set[str] = set()
    before = len(faults)
    for name, raw in table.items():
        if name not in fields:
            source = f" ({raw.source})" if isinstance(raw, FromText) and raw.source.isupper() else ""
            faults.append(f"{where}.{name}: unknown{suggestion(name, fields)}{source}")
            unfit.add(closest(name, fields))
            continue
        said, so_far = declared(fields[name]), len(faults)
        try:
            if said.row is not None:
                values[name] = _rows(said.row, raw, f"{where}.{name}", faults)
            else:
                values[name] = within(typed(raw, hints[name], said), said)
        except UnfitError as error:
            faults.append(f"{where}.{name}: {error}")
        if len(faults) > so_far:
            values.pop(name, None)
            unfit.add(name)
    missing = [name for name, field in fields.items() if name not in table and _must_be_set(field)]
    faults.extend(f"{where}.{name}: has no default and must be set" for name in missing)
    if any(_must_be_set(field) and name not in values for name, field in fields.items()):
        return None
    built = section(**values)
    # What no single field can know. A setting that is wrong stands at its default here: nothing is said about those.
    wrong = [re.compile(rf"\b{name}\b") for name in unfit if name]
    told = _asked(built, "faults")
    faults.extend(f"{where}.{fault}" for fault in told if not any(name.search(fault) for name in wrong))
    return built if len(faults) == before else None


def _must_be_set(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _asked(section: Any, method: str) -> Iterator[str]:
    ask = getattr(section, method, None)
    if callable(ask):
        yield from ask()


def file_faults(settings: Settings) -> list[str]:
    """What is wrong with the files that the settings name, of all sections. Reads them."""
    return _lines(settings, "file_faults")


def warnings(settings: Settings) -> list[str]:
    """What is set and has no effect, of all sections."""
    return _lines(settings, "warnings")


def _lines(settings: Settings, method: str) -> list[str]:
    lines: list[str] = []
    for name in settings:
        section = settings[name]
        lines.extend(f"{name}.{line}" for line in _asked(section, method))
        for field in dataclasses.fields(section):
            rows = getattr(section, field.name) if declared(field).row is not None else {}
            for row, table in rows.items():
                lines.extend(f"{name}.{field.name}.{row}.{line}" for line in _asked(table, method))
    return lines


def _rows(row: type, raw: Any, where: str, faults: list[str]) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise UnfitError(f"named tables are needed, [{where}.NAME], got {show(raw)}")
    built = {}
    for name, table in raw.items():
        if isinstance(table, dict):
            built[name] = _build(row, table, f"{where}.{name}", faults)
        else:
            faults.append(f"{where}.{name}: a table is needed, [{where}.{name}], got {show(table)}")
    return types.MappingProxyType(built)


def reference(sections: Mapping[str, type]) -> str:
    """The documented default file: every setting with its meaning, unit and bounds."""
    parts = [_REFERENCE_HEAD]
    for name, section in sections.items():
        parts.append(f"{_comment(_meaning(section, name))}[{name}]\n")
        rows = []
        for field in dataclasses.fields(section):
            said = declared(field)
            if said.row is not None:
                rows.append(_row_reference(f"{name}.{field.name}.NAME", said))
            else:
                parts.append(_field_reference(field, said))
        parts.extend(rows)
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"


_REFERENCE_HEAD: Final = """\
# Wakegate's settings: every one of them, with its default.
#
# Generated by `wakegate config reference`. A file of your own needs only what differs; `wakegate config check FILE`
# checks it. The environment overrides files: WAKEGATE__SMACKS__SMACKS_HIBERNATION_TIME=300.

"""


def _meaning(section: type, name: str) -> str:
    text = (section.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(text.removeprefix(f"[{name}]").split())


def _field_reference(field: dataclasses.Field[Any], said: Declared, prefix: str = "") -> str:
    default = field.default
    if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    bounds = said.bounds()
    about = _comment(f"{said.help}{f' ({bounds})' if bounds else ''}".strip())
    value = "…  # must be set" if default is dataclasses.MISSING else as_toml(default)
    return f"{about}{prefix}{field.name} = {value}\n"


def _row_reference(where: str, said: Declared) -> str:
    assert said.row is not None
    lines = [f"\n{_comment(said.help or _meaning(said.row, where))}# [{where}]\n"]
    lines.extend(_field_reference(field, declared(field), "# ") for field in dataclasses.fields(said.row))
    return "".join(lines)


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(text, 110))
