"""XEP-0059: Result Set Management, version 1.0. What is asked of a page, and what is said about one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape

KEY: Final = f"{ns.RSM}|set"
"""under which a payload that was read has its `<set/>`"""

_NUMBER: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Sections 2.1 to 2.6. None: not said. An empty `before` asks for the last page."""

    max: int | None = None
    after: str | None = None
    before: str | None = None
    index: int | None = None


def read(payload: Any) -> PageRequest:
    """The request in an element that `gateway.xmpp.payload.read` read; one that asks for nothing if there is no
    `<set/>`. Raises StanzaError(bad-request) for what is no request.
    """
    found = payload.get(KEY) if isinstance(payload, dict) else None
    if found is None:
        return PageRequest()
    if not isinstance(found, dict):
        raise _bad("there is one set, of elements")
    texts = {name: _text(found, name) for name in ("max", "after", "before", "index")}
    after = texts["after"] or None
    return PageRequest(_number(texts["max"], "max"), after, texts["before"], _number(texts["index"], "index"))


def write(*, first: str = "", last: str = "", index: int | None = None, count: int | None = None) -> str:
    """The `<set/>` of a page (section 2.2); without `first` and `last` it is empty."""
    inner = ""
    if first:
        at = "" if index is None else f" index='{index}'"
        inner = f"<first{at}>{escape(first)}</first><last>{escape(last)}</last>"
    if count is not None:
        inner += f"<count>{count}</count>"
    return f"<set xmlns='{ns.RSM}'>{inner}</set>" if inner else f"<set xmlns='{ns.RSM}'/>"


def _text(found: dict[str, Any], name: str) -> str | None:
    key = f"{ns.RSM}|{name}"
    if key not in found:
        return None
    value = found[key]
    if isinstance(value, dict):
        value = value.get("#text")
    if isinstance(value, list):
        raise _bad(f"{name} is there once")
    return value or ""


def _number(text: str | None, name: str) -> int | None:
    if text is None or not text.strip():
        return None
    if not _NUMBER.fullmatch(text.strip()):
        raise _bad(f"{name} is a number")
    return int(text)


def _bad(why: str) -> StanzaError:
    return StanzaError(StanzaCondition.BAD_REQUEST, f"result set management: {why}")
