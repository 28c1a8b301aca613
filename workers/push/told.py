"""What a payload tells of a push, and how it is made to fit: every provider has a limit, and no push may fail by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from workers.push.encrypted import encrypted
from workers.push.notification import PAYLOAD_LIMIT, Encrypted, Push, fitted

CALL_ID_LIMIT: Final = 256
"""Characters of a call's id (XEP-0353): clients use UUIDs; it is the caller who chooses it."""


@dataclass(frozen=True)
class Told:
    """What a payload tells beyond that there is something: None where there is nothing, or no room for it."""

    body: str | None = field(default=None, repr=False)
    encrypted: Encrypted | None = field(default=None, repr=False)
    sender: str | None = field(default=None, repr=False)
    node: str | None = field(default=None, repr=False)
    call: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, push: Push) -> Told:
        """What may be told. To a device that gave a key all is told sealed, or nothing: never beside it in clear."""
        call = push.call if 0 < len(push.call) <= CALL_ID_LIMIT else None
        registration = push.registration
        is_for_device = registration is not None and (registration.key or registration.content == "encrypted")
        if push.sealed is not None or is_for_device:
            return cls(None, encrypted(push), None, push.node or None, call)
        return cls(push.shown_body, None, push.shown_sender, push.node or None, call)


EXPENDABLE: Final = ("encrypted", "sender", "node", "call")
"""What is given up when a payload without a body is still too large, in this order: the app can ask us for all of it.
"""


def shortened(encode: Callable[[Told], bytes], told: Told, *, limit: int = PAYLOAD_LIMIT) -> bytes:
    """The payload that tells as much as fits `limit` bytes: first the body is shortened, then all else is given up, one
    after the other. If `encode(Told())` is too large itself, so is the answer.
    """
    payload = encode(told)
    if len(payload) > limit and told.body is not None:
        payload = fitted(lambda body: encode(replace(told, body=body)), told.body, limit=limit)
        told = replace(told, body=None)
    for name in EXPENDABLE:
        if len(payload) <= limit:
            break
        if getattr(told, name) is not None:
            told = replace(told, **{name: None})
            payload = encode(told)
    return payload
