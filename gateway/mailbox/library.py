"""The Lua library of mailbox operations: one versioned library of Redis functions, put together from `lua/`.

A rolling upgrade loads version n+1 beside version n: the version is part of every function's name.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from gateway.mailbox import keys

VERSION = 1


@cache
def source() -> str:
    """The library's text, as FUNCTION LOAD takes it: key functions from `keys`, then the files by name."""
    here = resources.files("gateway.mailbox") / "lua"
    files = sorted((item for item in here.iterdir() if item.name.endswith(".lua")), key=lambda item: item.name)
    head = (
        f"#!lua name=wakegate_{VERSION}\n"
        f"local function register(name, callback) redis.register_function('wg{VERSION}_' .. name, callback) end\n"
    )
    return head + keys.lua_source() + "\n".join(item.read_text("utf-8") for item in files)


def function(operation: str) -> str:
    """The name under which FCALL knows an operation, e.g. `wg1_deliver`."""
    return f"wg{VERSION}_{operation}"
