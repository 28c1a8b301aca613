"""Logs: one line an event, and nothing in it that must not be read."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from gateway.settings import Secret
from gateway.telemetry import LogSettings, configure, get_logger, redact


@pytest.fixture(autouse=True)
def root_logger_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def written(settings: LogSettings | None = None) -> io.StringIO:
    stream = io.StringIO()
    configure(settings or LogSettings(), stream)
    return stream


def test_an_event_is_one_line_with_its_fields() -> None:
    stream = written()
    get_logger("gateway.session").bind(session="s1").info("session_hibernating", keep_for_s=600, delay=0.25)
    stamp, rest = stream.getvalue().split(" ", 1)

    assert "info    session_hibernating session=s1 keep_for_s=600 delay=0.25\n" == rest
    assert (24, "Z") == (len(stamp), stamp[-1])


def test_as_json_it_is_one_object() -> None:
    stream = written(LogSettings(format="json"))
    get_logger("gateway.session").warning("redis_lost", waiting=3, error=ConnectionError("refused"))
    line = json.loads(stream.getvalue())
    del line["time"]

    assert {
        "level": "warning",
        "event": "redis_lost",
        "logger": "gateway.session",
        "waiting": 3,
        "error": "ConnectionError: refused",
    } == line


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("name", ["token", "device_token", "password", "body", "stanza", "payload", "authorization"])
def test_what_must_not_be_read_is_not_written(form: str, name: str) -> None:
    stream = written(LogSettings(format=form))
    log = get_logger("gateway").bind(**{name: "classified"})
    log.error("thing_happened", raw=b"<body>classified</body>", key=Secret("classified"))

    assert "classified" not in stream.getvalue()
    assert "[hidden]" in stream.getvalue()


def test_a_field_cannot_forge_a_line_or_another_field() -> None:
    stream = written()
    get_logger("gateway").info("said", text='x\n2026 error forged a="b"', empty="")

    assert 1 == stream.getvalue().count("\n")
    assert 'text="x\\n2026 error forged a=\\"b\\"" empty=""' in stream.getvalue()


def test_a_token_is_followed_by_its_hash() -> None:
    written(LogSettings(redact_key=Secret("one")))
    here, there = redact("token"), redact(b"token")
    written(LogSettings(redact_key=Secret("two")))

    assert here == there
    assert here != redact("token")
    assert here.startswith("hash:")
    assert "token" not in here


@pytest.mark.parametrize("name", ["jid", "user", "admin", "contact"])
def test_a_person_is_followed_by_the_hash_of_the_address(name: str) -> None:
    stream = written()
    get_logger("gateway").bind(**{name: "romeo@localhost"}).info("account_removed", session="s1")

    assert f"account_removed {name}={redact('romeo@localhost')} session=s1\n" == stream.getvalue().split("info    ")[1]


def test_a_level_below_the_configured_one_costs_no_line() -> None:
    stream = written(LogSettings(level="warning"))
    get_logger("gateway").info("thing_happened")

    assert "" == stream.getvalue()


def test_an_exception_brings_its_traceback() -> None:
    text, as_json = io.StringIO(), io.StringIO()
    for stream, form in ((text, "text"), (as_json, "json")):
        configure(LogSettings(format=form), stream)
        try:
            int("broken")
        except ValueError:
            get_logger("gateway").exception("thing_failed")

    assert "ValueError: invalid literal" in text.getvalue().splitlines()[-1]
    assert "ValueError: invalid literal" in json.loads(as_json.getvalue())["traceback"]


def test_what_a_library_logs_takes_the_same_form() -> None:
    stream = written()
    logging.getLogger("somebody.else").warning("careful with %s", "that")

    assert stream.getvalue().endswith('warning library_logged source=somebody.else text="careful with that"\n')


def test_a_long_value_is_cut() -> None:
    stream = written()
    get_logger("gateway").info("said", text="x" * 5000)

    assert 600 > len(stream.getvalue())
