"""The value of one setting: what is declared about it, and how what was read becomes its type or a clear fault."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})


class UnfitError(ValueError):
    """A value that its setting cannot have; the text says what is needed."""


class Secret:
    """A text that must not be shown. Only `value()` gives it away; repr, str and logs hide it. `file` is where it was
    read from, "" if it stood in the configuration itself.
    """

    __slots__ = ("_text", "file")

    def __init__(self, text: str = "", *, file: str = "") -> None:
        self._text = text
        self.file = file

    def value(self) -> str:
        """The text itself: for the one place that needs it."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(set)" if self._text else "Secret(empty)"


@dataclasses.dataclass(frozen=True)
class Declared:
    """What `setting` or `tables` said about a field."""

    unit: str = ""
    least: float | None = None
    most: float | None = None
    choices: tuple[Any, ...] | None = None
    help: str = ""
    secret: bool = False
    row: type | None = None
    private: bool = False

    def bounds(self) -> str:
        """The bounds for a reader, e.g. `0 to 600 s`; empty without any."""
        unit = f" {self.unit}" if self.unit else ""
        if self.choices is not None:
            return " | ".join(as_toml(choice) for choice in self.choices)
        if self.least is not None and self.most is not None:
            return f"{self.least} to {self.most}{unit}"
        if self.least is not None:
            return f"at least {self.least}{unit}"
        if self.most is not None:
            return f"at most {self.most}{unit}"
        return self.unit


@dataclasses.dataclass(frozen=True)
class FromText:
    """A value that came as text and is typed by its field; `source` is what to call it in a fault."""

    text: str
    source: str


def typed(raw: Any, hint: Any, said: Declared) -> Any:
    """Turn what was read into the field's type; UnfitError says what is needed."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of(raw, typing.get_args(hint), said)
    if origin is typing.Literal:
        return _literal(raw, typing.get_args(hint))
    if origin in (list, tuple):
        return _list(raw, origin, typing.get_args(hint)[0], said)
    text = raw.text if isinstance(raw, FromText) else None
    if hint is bool:
        return _boolean(raw, text)
    if hint in (int, float):
        return _number(raw, text, hint)
    if hint is Secret:
        return _secret(raw, text)
    if hint is Path and isinstance(text or raw, str):
        return Path(text if text is not None else raw)
    if hint is str and isinstance(raw, str | FromText):
        return text if text is not None else raw
    if hint is type(None) and (raw is None or text == ""):
        return None
    raise UnfitError(f"{_NEEDS.get(hint, 'another type')} is needed, got {show(raw, said)}")


_NEEDS: Final[Mapping[Any, str]] = {str: 'a text in "quotes"', Path: 'a path in "quotes"', type(None): "nothing"}


def _one_of(raw: Any, arms: tuple[Any, ...], said: Declared) -> Any:
    wanted = []
    # bool and numbers first: as text, "true" is a truth before it is a word.
    for arm in sorted(arms, key=lambda arm: arm is str):
        try:
            return typed(raw, arm, said)
        except UnfitError as error:
            wanted.append(str(error).split(" is needed")[0])
    if said.choices is not None:
        raise _no_choice(raw, said)
    raise UnfitError(f"{' or '.join(wanted)} is needed, got {show(raw, said)}")


def _literal(raw: Any, allowed: tuple[Any, ...]) -> Any:
    given = raw.text if isinstance(raw, FromText) else raw
    for choice in allowed:
        if type(given) is type(choice) and given == choice:
            return choice
        if isinstance(raw, FromText) and given == str(choice).lower():
            return choice
    raise UnfitError(f"one of {' | '.join(as_toml(choice) for choice in allowed)} is needed, got {show(raw)}")


def _list(raw: Any, kind: type, item: Any, said: Declared) -> Any:
    if isinstance(raw, FromText):
        raw = [FromText(part.strip(), raw.source) for part in raw.text.split(",") if part.strip()]
    if not isinstance(raw, list | tuple):
        raise UnfitError(f'a list is needed, ["…", "…"], got {show(raw, said)}')
    return kind(typed(part, item, said) for part in raw)


def _boolean(raw: Any, text: str | None) -> bool:
    if isinstance(raw, bool):
        return raw
    if text is not None and text.lower() in _TRUE:
        return True
    if text is not None and text.lower() in _FALSE:
        return False
    raise UnfitError(f"true or false is needed, got {show(raw)}")


def _number(raw: Any, text: str | None, kind: type[int] | type[float]) -> int | float:
    if text is not None:
        try:
            return kind(text)
        except ValueError:
            pass
    elif isinstance(raw, int) and not isinstance(raw, bool):
        return kind(raw)
    elif kind is float and isinstance(raw, float):
        return raw
    raise UnfitError(f"{'a whole number' if kind is int else 'a number'} is needed, got {show(raw)}")


def _secret(raw: Any, text: str | None) -> Secret:
    given = text if text is not None else raw
    if isinstance(given, Secret):
        return given
    if not isinstance(given, str):
        raise UnfitError("a text is needed")
    if not given.startswith("file:"):
        return Secret(given)
    file = given.removeprefix("file:")
    try:
        return Secret(Path(file).read_text(encoding="utf-8").strip(), file=file)
    except (OSError, UnicodeDecodeError) as error:
        raise UnfitError(f"the file cannot be read: {error}") from error


def within(value: Any, said: Declared) -> Any:
    if said.choices is not None and not any(type(value) is type(c) and value == c for c in said.choices):
        raise _no_choice(value, said)
    size = len(value) if isinstance(value, list | tuple) else value
    if isinstance(size, int | float) and not isinstance(size, bool):
        items = " items" if isinstance(value, list | tuple) else f" {said.unit}" if said.unit else ""
        if size != size or (said.least is not None and size < said.least):
            raise UnfitError(f"at least {said.least}{items}, got {size}")
        if said.most is not None and size > said.most:
            raise UnfitError(f"at most {said.most}{items}, got {size}")
    return value


def _no_choice(raw: Any, said: Declared) -> UnfitError:
    given = str(raw.text if isinstance(raw, FromText) else raw)
    close = difflib.get_close_matches(given, [str(choice) for choice in said.choices or ()], 1)
    hint = f", did you mean {close[0]}?" if close else ""
    return UnfitError(f"one of {said.bounds()} is needed, got {show(raw, said)}{hint}")


def show(value: Any, said: Declared | None = None) -> str:
    if said is not None and said.secret:
        return "something else"
    text = value.text if isinstance(value, FromText) else value
    shown = as_toml(text)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def address_fault(address: str, *, least_port: int = 0) -> str:
    """What is wrong with a "host:port"; "" if nothing is."""
    host, colon, port = address.rpartition(":")
    if not colon or not host:
        return '"host:port" is needed, e.g. "0.0.0.0:5222" or "[::]:5222"'
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        return 'an IPv6 address stands in brackets, e.g. "[::1]:5222"'
    if not port.isascii() or not port.isdigit() or not least_port <= int(port) <= 65535:
        return f'"{port}" is no port, {least_port} to 65535'
    return ""


def suggestion(name: str, known: Iterable[str]) -> str:
    close = closest(name, known)
    return f", did you mean {close}?" if close else ""


def closest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant; "" if none is near."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 1, 0.6)
    if not close:
        # Many names share a prefix with their section; a part that was remembered is enough to find one.
        close = sorted((k for k in names if len(name) > 3 and name in k), key=len)[:1]
    if not close:
        close = [k for k in names if any(difflib.get_close_matches(name, k.split("_"), 1, 0.7))][:1]
    return close[0] if close else ""


def as_toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Secret):
        return '""'
    if isinstance(value, str | Path):
        escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_toml(item) for item in value) + "]"
    return str(value)
