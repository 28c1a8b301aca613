"""What foreign app servers answered to published notifications (XEP-0357 section 7): from the gateway that their
connection is at to the push worker that asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.mailbox.journal import Journal
from gateway.mailbox.keys import PUSH_ANSWERS

PREFIX: Final = "push"
"""of the ids of such requests, `push:<worker>:<number>`"""

LIFE_S: Final = 120
MOST: Final = 10_000
"""answers that are kept for a worker, the newest; one that lives takes them at once"""

_ID: Final = re.compile(rf"{PREFIX}:([\w.-]{{1,200}}):[\w.-]{{1,64}}", re.ASCII)


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result or the error of one publish request.

    `id` is the request's; `service` the full JID that answered: whoever asked compares it with the one that was asked.
    `type` is "result" or "error"; then `condition` and `error_type` are those of RFC 6120 section 8.3.
    """

    id: str
    service: str
    type: str
    condition: str = ""
    error_type: str = ""


def request_id(worker: str, number: int) -> str:
    """The id under which a worker, by a name of letters, digits, `.`, `_` and `-`, asks."""
    return f"{PREFIX}:{worker}:{number}"


def worker_of(id_: str) -> str:
    """Who asked under this id; "" if no worker did."""
    found = _ID.fullmatch(id_)
    return found[1] if found else ""


class PushAnswers:
    """The lists in Redis, one for each worker."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def put(self, answer: Answer, done: Callable[[Any], None]) -> None:
        """Hand an answer to who asked. Never blocks; `done` gets the last reply, or a StoreError.

        One that comes twice, because a connection was lost, is no harm: requests have each their own number.
        """
        key = PUSH_ANSWERS + worker_of(answer.id)
        self._journal.submit(_unheard, "RPUSH", key, msgspec.json.encode(answer))
        self._journal.submit(_unheard, "LTRIM", key, -MOST, -1)
        self._journal.submit(done, "EXPIRE", key, LIFE_S)

    def take(self, worker: str, most: int = 1000) -> list[Answer]:
        """What came for a worker, oldest first; it is gone from the list. Waits; raises StoreError."""
        found = self._journal.call("LPOP", PUSH_ANSWERS + worker, most)
        return [msgspec.json.decode(answer, type=Answer) for answer in found or ()]


def _unheard(_: object) -> None:
    """What became of the first commands shows in the last: they go, and fail, together."""
