"""What Redis' answers mean to who asked: a value, "not now", "no room", or a refusal that somebody should look at.

Redis under `maxmemory` (policy `noeviction`) refuses a command that might need memory before anything of it ran, with
an error that begins with OOM. In a transaction it refuses it when it is queued, and then EXEC does nothing at all; or
it refuses EXEC itself, when memory ran out between the two. So of a group either all operations ran or none.
"""

from __future__ import annotations

from typing import Any, Final

import hiredis

from gateway.mailbox.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable
from gateway.telemetry import get_logger

log = get_logger(__name__)

PASSING: Final = (
    "LOADING",
    "READONLY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MISCONF",
    "NOREPLICAS",
    "BUSY",
    "UNKILLABLE",
)
"""Redis says these while it starts, fails over, or cannot write to its disk: not now, but later"""


def is_passing(error: Exception) -> bool:
    """Redis refuses everything for the moment, or has forgotten the library: the same is sent again later."""
    text = str(error)
    return text.startswith(PASSING) or "unction not found" in text


def is_full(reply: Any) -> bool:
    """Redis has no memory left for this command, or for one of the transaction that it therefore did not begin."""
    if not isinstance(reply, hiredis.ReplyError):
        return False
    text = str(reply)
    return text.startswith("OOM ") or (text.startswith("EXECABORT ") and "OOM " in text)


def check(reply: Any) -> None:
    """Raises StoreUnavailable if Redis refuses everything for the moment."""
    if isinstance(reply, hiredis.ReplyError) and is_passing(reply):
        raise StoreUnavailable(str(reply))


def value_of(reply: Any) -> Any:
    """What a callback gets: the reply, or a StoreError as a value."""
    if not isinstance(reply, hiredis.ReplyError):
        return reply
    return error_of(str(reply), full=is_full(reply))


def error_of(text: str, *, full: bool) -> StoreError:
    """The refusal as a value. A full Redis is logged by who notices it first; there are many such answers a second."""
    if full:
        return StoreFull("Redis has reached its maxmemory")
    log.error("redis_refused", error=text)
    return StoreCorrupt(text)
