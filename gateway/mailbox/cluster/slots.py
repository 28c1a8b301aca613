"""Which slot of a cluster a command belongs to: that of its key, by the rules of the Redis Cluster specification."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Final

from gateway.mailbox.dial import Part

SLOTS: Final = 16384

EVERYWHERE: Final = frozenset({"PING", "FUNCTION"})
"""commands that concern every server"""

_COUNTED: Final = frozenset({"FCALL", "FCALL_RO", "EVAL", "EVALSHA"})
_SECOND: Final = frozenset({"XGROUP", "XINFO"})
_STREAMS: Final = frozenset({"XREADGROUP", "XREAD"})


def slot_of(key: Part) -> int:
    """The slot of a key, or of a sharded channel: of what stands between its first braces, if anything does."""
    data = key if isinstance(key, bytes) else str(key).encode()
    start = data.find(b"{")
    if start >= 0:
        end = data.find(b"}", start + 1)
        if end > start + 1:
            data = data[start + 1 : end]
    return binascii.crc_hqx(data, 0) % SLOTS


def key_of(command: Sequence[Part]) -> Part | None:
    """The first key of a command as this project uses it; None if it has none, and any server will do."""
    verb = command[0]
    if verb in _COUNTED:
        return command[3] if int(command[2]) else None
    if verb in _STREAMS:
        return command[command.index("STREAMS") + 1]
    if verb in _SECOND:
        return command[2]
    return command[1] if len(command) > 1 else None
