"""The Lua library of mailbox operations: one library of Redis functions, put together from `lua/`.

The name of the library, and of every function in it, carries a digest of its text. So two builds that run side by side
during an upgrade call each its own functions, whatever their version says; neither replaces the other's, and a process
that reconnects sends the text only to a server that has not got it. What nobody uses any more the sweeper removes
(`gateway.mailbox.libraries`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Final

from gateway.mailbox import keys
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.room import EVEN_WHEN_FULL

VERSION: Final = 1
"""of what is stored: a build that could not live side by side with the one before it has the next one"""

PREFIX: Final = "wakegate_"

_DIGITS: Final = 10
"""of the digest, in hexadecimal"""


@cache
def _body() -> str:
    """Key functions from `keys`, then the files by name."""
    here = resources.files("gateway.mailbox") / "lua"
    files = sorted((item for item in here.iterdir() if item.name.endswith(".lua")), key=lambda item: item.name)
    return keys.lua_source() + "\n".join(item.read_text("utf-8") for item in files)


def _head(mark: str) -> str:
    full = ", ".join(f"{operation} = true" for operation in sorted(EVEN_WHEN_FULL))
    return f"""\
local even_when_full = {{ {full} }}
local function register(name, callback)
  local flags = even_when_full[name] and {{ 'allow-oom' }} or {{}}
  redis.register_function{{ function_name = 'wg{mark}_' .. name, callback = callback, flags = flags }}
end
redis.register_function{{
  function_name = 'wg{mark}_present', flags = {{ 'no-writes' }}, callback = function() return 1 end }}
"""


@cache
def _mark() -> str:
    return f"{VERSION}_{hashlib.sha256((_head('') + _body()).encode()).hexdigest()[:_DIGITS]}"


def name() -> str:
    """The library's name, e.g. `wakegate_1_0123456789`."""
    return PREFIX + _mark()


def source() -> str:
    """The library's text, as FUNCTION LOAD takes it."""
    return f"#!lua name={name()}\n" + _head(_mark()) + _body()


def grows(command: Sequence[object]) -> bool:
    """Whether the command is an operation that Redis refuses when it is full."""
    return command[0] == "FCALL" and command[1] not in _even_when_full()


@cache
def _even_when_full() -> frozenset[str]:
    return frozenset(map(function, EVEN_WHEN_FULL))


@cache
def function(operation: str) -> str:
    """The name under which FCALL knows an operation, e.g. `wg1_0123456789_deliver`."""
    return f"wg{_mark()}_{operation}"


def ensure(ask: Callable[..., object]) -> None:
    """See to it that a server has the library; `ask(*command)` asks it, and raises StoreUnavailable when it refuses.

    Its text, a quarter of a megabyte, is sent only if it is not there: a gateway reconnects with all others at once.
    """
    if not _is_present(ask):
        ask("FUNCTION", "LOAD", "REPLACE", source())


def _is_present(ask: Callable[..., object]) -> bool:
    try:
        return ask("FCALL", function("present"), 0) == 1
    except StoreUnavailable as refused:
        if "unction not found" in str(refused):
            return False
        raise
