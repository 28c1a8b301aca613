"""A push as FCM wants it: data only, so that the app and not the system decides what is shown (FCM, `Message`).

High priority wakes a dozing phone, and Google takes it away from apps that use it for what the user never sees. That a
phone stops ringing, he notices.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import msgspec

from workers.push.notification import Push
from workers.push.providers.fcm.settings import LONGEST_TTL_S
from workers.push.rules import CALL_ANSWERED
from workers.push.told import Told, shortened

CHECK_TOPIC: Final = "wakegate-check"

_encoder: Final = msgspec.json.Encoder()


def payload(push: Push, *, now: float) -> bytes:
    """The body of `messages:send`; `now` in UNIX seconds. Its data have 4,096 bytes at most, counted as JSON, which is
    never less than what Google counts.
    """
    android: dict[str, Any] = {
        "priority": "high" if push.urgent or push.kind == CALL_ANSWERED else "normal",
        "ttl": f"{int(min(max(push.expires_at - now, 0), LONGEST_TTL_S))}s",
    }
    if push.collapse_id:
        android["collapse_key"] = push.collapse_id
    data = msgspec.Raw(shortened(partial(_data, push), Told.of(push)))
    return _encoder.encode({"message": {"token": push.token, "data": data, "android": android}})


def check_message() -> bytes:
    """A message that is judged as any other and sent to nobody."""
    return _encoder.encode({"validate_only": True, "message": {"topic": CHECK_TOPIC, "data": {"kind": "check"}}})


def _data(push: Push, told: Told) -> bytes:
    """All values are strings. `encrypted` and `iv` are what clients of `tigase:push:encrypt:0` open."""
    facts = {"kind": push.kind, "count": str(push.count), "push_id": push.push_id}
    told_facts = (("node", told.node), ("call", told.call), ("sender", told.sender), ("body", told.body))
    facts.update((name, value) for name, value in told_facts if value is not None)
    if push.unread is not None:
        facts["unread"] = str(push.unread)
    if push.requests:
        facts["requests"] = str(push.requests)
    if told.encrypted is not None:
        facts["encrypted"] = told.encrypted.data
        facts["iv"] = told.encrypted.iv
    return _encoder.encode(facts)
