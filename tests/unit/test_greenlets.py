"""Greenlets that fail are told of without what they were called with."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import gevent
import pytest

from gateway import greenlets
from gateway.mailbox.errors import StoreUnavailable
from gateway.telemetry import TextFormatter

SECRET = "romeo@localhost"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged meanwhile."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(TextFormatter())
    logging.getLogger().addHandler(handler)
    hub = gevent.get_hub()
    before = hub.print_exception
    greenlets.log_failures()
    yield written
    hub.print_exception = before
    logging.getLogger().removeHandler(handler)


def fails(_argument: str) -> None:
    raise ValueError("this is why")


def finds_no_store(_argument: str) -> None:
    raise StoreUnavailable("Redis is away")


def test_a_greenlet_that_fails_is_one_line_with_its_traceback_and_without_its_arguments(
    lines: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    gevent.spawn(fails, SECRET).join()
    printed = lines.getvalue()

    assert "greenlet_failed where=fails" in printed
    assert "ValueError: this is why" in printed
    assert SECRET not in printed + "".join(capfd.readouterr())


def test_what_is_expected_to_happen_has_no_traceback(lines: io.StringIO) -> None:
    gevent.spawn(finds_no_store, SECRET).join()

    assert lines.getvalue().endswith('greenlet_failed where=finds_no_store error="StoreUnavailable: Redis is away"\n')
    assert "Traceback" not in lines.getvalue()
