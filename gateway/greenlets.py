"""What becomes of a greenlet that fails with nobody to catch it: a line in the log.

gevent itself prints what the greenlet was called with, and that may be a stanza, a JID or a device token.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import gevent

from gateway.errors import WakegateError
from gateway.telemetry import get_logger

log = get_logger(__name__)


def log_failures() -> None:
    """From now on, in this thread."""
    gevent.get_hub().print_exception = _log


def _log(context: Any, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """As `gevent.hub.Hub.print_exception`; must not raise."""
    where = _name(context)
    if isinstance(error, WakegateError) and not error.alert:
        log.warning("greenlet_failed", where=where, error=error)
        return
    log.exception("greenlet_failed", cause=(error or kind()).with_traceback(trace), where=where)


def _name(context: Any) -> str:
    """Of the function that the greenlet ran, or of what kind of thing called it."""
    run = getattr(context, "_run", None)
    return str(getattr(run, "__qualname__", "") or type(context).__name__)
