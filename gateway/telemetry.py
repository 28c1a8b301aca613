"""Logs are events with fields: `log.info("session_hibernating", keep_for_s=600, unacked=3)`, one line each.

What must not be read by others never reaches a line: fields with a telling name are hidden, bytes (stanzas, payloads)
show their length only, and a token or a person that is needed to follow a story appears as `redact(token)`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Any, Final, TextIO

from gateway.settings import Secret, setting

HIDDEN: Final = frozenset(
    {"authorization", "body", "credentials", "device_token", "jwt", "password", "payload", "secret", "stanza", "token"}
)
"""Fields with these names, or with one of them behind a `_`, are never printed."""

PERSONS: Final = frozenset({"admin", "contact", "jid", "user"})
"""Fields with these names are JIDs of people, and are printed as `redact` has them: one can be followed, not read."""

LONGEST_FIELD: Final = 500
"""Characters of one field's value that are printed."""

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_FIELDS: Final = "wakegate_fields"


@dataclass(frozen=True)
class LogSettings:
    """[log] What is written to standard error."""

    level: str = setting("info", choices=tuple(_LEVELS), help="The least important level that is written.")
    format: str = setting("text", choices=("text", "json"), help="One event a line, for people or for machines.")
    redact_key: Secret = setting(
        Secret(),
        secret=True,
        help='Keys the hashes that stand for push tokens: same key, same hashes. "" makes one at each start.',
    )


class Logger:
    """Writes events of one part of the program. Fields that were bound are on each of its lines."""

    __slots__ = ("_bound", "_logger")

    def __init__(self, logger: logging.Logger, bound: dict[str, Any]) -> None:
        self._logger = logger
        self._bound = bound

    def bind(self, **fields: Any) -> Logger:
        """The same logger with these fields on every line: bind `session`, `jid`, `stream` once, at the owner."""
        return Logger(self._logger, {**self._bound, **fields})

    def debug(self, event: str, **fields: Any) -> None:
        """For whoever follows one connection."""
        if self._logger.isEnabledFor(10):
            self._write(10, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Something that happens in normal work."""
        if self._logger.isEnabledFor(20):
            self._write(20, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Work goes on, but somebody may want to look."""
        if self._logger.isEnabledFor(30):
            self._write(30, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Somebody has to look."""
        if self._logger.isEnabledFor(40):
            self._write(40, event, fields)

    def exception(self, event: str, *, cause: BaseException | None = None, **fields: Any) -> None:
        """As `error`, with the traceback of the exception that is being handled, or of `cause`."""
        self._write(40, event, fields, exc_info=cause or True)

    def _write(self, level: int, event: str, fields: dict[str, Any], *, exc_info: BaseException | bool = False) -> None:
        self._logger.log(level, event, exc_info=exc_info, extra={_FIELDS: {**self._bound, **fields}})


def get_logger(name: str) -> Logger:
    """The logger of a module: `log = get_logger(__name__)`."""
    return Logger(logging.getLogger(name), {})


def redact(token: str | bytes) -> str:
    """A short keyed hash that stands for a token in a log: the same token, the same hash, no way back."""
    raw = token.encode() if isinstance(token, str) else token
    return "hash:" + hashlib.blake2s(raw, key=_redaction.key, digest_size=6).hexdigest()


class _Redaction:
    """Holds this process' key; made at random when first needed, unless `configure` gave one."""

    def __init__(self) -> None:
        self._key = b""

    @property
    def key(self) -> bytes:
        if not self._key:
            self._key = secrets.token_bytes(32)
        return self._key

    def keyed_by(self, secret: str) -> None:
        self._key = hashlib.blake2s(secret.encode()).digest()


_redaction = _Redaction()


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Write events as `settings` say, to `stream` (standard error). Called once, by the process' entry point."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(_LEVELS[settings.level])
    logging.captureWarnings(True)
    if settings.redact_key:
        _redaction.keyed_by(settings.redact_key.value())


class TextFormatter(logging.Formatter):
    """`2026-08-01T10:41:58.123Z info    session_hibernating keep_for_s=600 unacked=3`"""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback below it where there is one."""
        pairs = [f"{name}={_bare(value)}" for name, value in _fields(record).items()]
        line = " ".join([_timestamp(record), f"{record.levelname.lower():<7}", _event(record), *pairs])
        trace = _trace(record)
        return f"{line}\n{trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """`{"time": "…", "level": "info", "event": "session_hibernating", "logger": "gateway.session", "unacked": 3}`"""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object; a traceback is its field `traceback`."""
        line: dict[str, Any] = {"time": _timestamp(record), "level": record.levelname.lower(), "event": _event(record)}
        line["logger"] = record.name
        for name, value in _fields(record).items():
            line[name if name not in line else name + "_"] = value
        trace = _trace(record)
        if trace:
            line["traceback"] = trace
        return json.dumps(line, ensure_ascii=False)


def _timestamp(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


def _event(record: logging.LogRecord) -> str:
    """Ours is a name; a library's message is a sentence, which becomes one quoted field."""
    if hasattr(record, _FIELDS):
        return str(record.msg)
    return "library_logged"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, _FIELDS, None)
    if fields is None:
        return {"source": record.name, "text": _printable(record.getMessage())}
    return {name: _shown(name, value) for name, value in fields.items()}


def _shown(name: str, value: Any) -> Any:
    if _is_hidden(name):
        return "[hidden]"
    return redact(str(value)) if name in PERSONS and value else _printable(value)


def _is_hidden(name: str) -> bool:
    return name in HIDDEN or name.rpartition("_")[2] in HIDDEN


def _printable(value: Any) -> Any:
    """A number, truth or text that may be shown."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, BaseException):
        value = f"{type(value).__name__}: {value}"
    text = str(value)
    return text if len(text) <= LONGEST_FIELD else text[:LONGEST_FIELD] + "…"


def _bare(value: Any) -> str:
    """A value as text: quoted if it could be taken for something else, so that no field can forge a line."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    is_plain = text.isprintable() and text != "" and not any(c in ' "=' for c in text)
    return text if is_plain else json.dumps(text, ensure_ascii=not text.isprintable())


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    return "".join(traceback.format_exception(*record.exc_info)).rstrip()
