"""The usual mistakes with push, as data: how each shows, what it means, what to do.

`diagnosis` finds them for a case at hand; docs/push-troubleshooting.md lists all of them and is made from here.
"""

from __future__ import annotations

from typing import Final

from workers.push.mistakes.apple import APPLE
from workers.push.mistakes.apple_credentials import APPLE_CREDENTIALS
from workers.push.mistakes.case import Case
from workers.push.mistakes.google import GOOGLE
from workers.push.mistakes.mistake import Mistake
from workers.push.mistakes.tokens import NETWORK, TOKENS
from workers.push.mistakes.web_push import WEB_PUSH

__all__ = ["GROUPS", "MISTAKES", "Case", "Mistake"]

GROUPS: Final[dict[str, tuple[Mistake, ...]]] = {
    "The device token": TOKENS,
    "Apple: tokens and topics": APPLE,
    "Apple: keys and certificates": APPLE_CREDENTIALS,
    "Google": GOOGLE,
    "Web Push and app servers": WEB_PUSH,
    "The way there": NETWORK,
}

MISTAKES: Final[tuple[Mistake, ...]] = tuple(mistake for group in GROUPS.values() for mistake in group)
"""Those that need most proof stand first."""
