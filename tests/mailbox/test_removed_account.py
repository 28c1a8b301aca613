"""What still comes for an account that was removed, or disabled, a moment ago makes nothing under its name: whichever
operation it is, also one that is added tomorrow.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import redis

from gateway.mailbox import keys, library
from tests.mailbox.world import JULIET, World

NAMES = re.findall(r"^\s*register\('(\w+)'", library.source(), re.MULTILINE)

MAKERS = {
    "admit": "counts tries of an address",
    "caps_keep": "its key is the argument, and no account's",
    "component": "a component's domain is no account",
    "create": "makes accounts",
    "enroll": "makes accounts",
    "pushed": "keeps outcomes by the event's name",
    "replay": "keeps by the event's name that it was done",
    "reserve": "keeps a name for an account that is not there yet",
}
"""operations that may make something of these arguments -> why"""

REST = ["1"] * 20

ARGUMENTS: tuple[list[str], ...] = (
    [JULIET, "x@localhost", *REST],
    [JULIET, *REST],
    [JULIET, "node", "item", "<x/>", *REST],
    [JULIET, "x@localhost", "subscribe", "", "<presence/>", *REST],
    [JULIET, "x@localhost", "subscribe", "<presence/>", *REST],
    [JULIET, "balcony", "x@localhost/y", "@process", "7", "60000", "m", "chat", "swba", "9", "9", "<message/>", *REST],
    ["sid", "1", JULIET, *REST],
)
"""what most operations are called with; more does no harm"""


def made(store: redis.Redis[Any]) -> list[str]:
    """Keys that live under the account's name."""
    return [key.decode() for key in store.scan_iter(count=1000) if JULIET.encode() in key and b":j:" not in key]


@pytest.mark.parametrize("name", NAMES)
def test_no_operation_makes_anything_for_an_account_that_is_not_there(redis_url: str, world: World, name: str) -> None:
    world.accounts.remove(JULIET)
    store = redis.Redis.from_url(redis_url)
    found: list[str] = []
    for arguments in ARGUMENTS:
        for count in (len(arguments), 12, 8, 6, 5, 4, 3, 2, 1):
            try:
                store.fcall(library.function(name), 1, keys.prefix(JULIET), *arguments[:count])
            except redis.ResponseError:
                continue  # it wants other arguments
        found = found or made(store)
    store.close()

    assert [] == found or name in MAKERS
