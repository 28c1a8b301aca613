"""What may be told of a waiting message, and what decides whether somebody wants to be told: who wrote, the text, and
whom it is meant for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers.expat import ExpatError

import xmltodict

from gateway.xmpp import ns

GROUPCHAT: Final = "groupchat"

_REFERENCE: Final = f"{ns.REFERENCE}|reference"
_REPLY: Final = f"{ns.REPLY}|reply"
_SEVERAL: Final = ("body", _REFERENCE, _REPLY)


@dataclass(frozen=True)
class Summary:
    """The sender as a person would name it, and the body; None where there is none.

    `chat`: the bare JID of who wrote, or of the room. `nick`: in a room, who wrote. `mentions`: the URIs of XEP-0372
    mentions. `replied_to`: whose message this one answers (XEP-0461).
    """

    sender: str | None = field(default=None, repr=False)
    body: str | None = field(default=None, repr=False)
    chat: str = field(default="", repr=False)
    nick: str = field(default="", repr=False)
    is_groupchat: bool = field(default=False, repr=False)
    mentions: tuple[str, ...] = field(default=(), repr=False)
    replied_to: str = field(default="", repr=False)


def summary(stanza: bytes) -> Summary:
    """Read a message (RFC 6121, section 5.2). One that cannot be read tells nothing."""
    try:
        message = xmltodict.parse(stanza, process_namespaces=True, namespace_separator="|", force_list=_SEVERAL).get(
            "message"
        )
    except (ExpatError, ValueError):
        return Summary()
    if not isinstance(message, dict):
        return Summary()
    sender = message.get("@from")
    is_groupchat = message.get("@type") == GROUPCHAT
    chat, _, resource = (sender or "").partition("/")
    return Summary(
        sender=sender if is_groupchat or sender is None else chat,  # the resource is for machines; a room's is a name
        body=_body(message.get("body") or []),
        chat=chat,
        nick=resource if is_groupchat else "",
        is_groupchat=is_groupchat,
        mentions=tuple(
            str(one["@uri"])
            for one in _elements(message, _REFERENCE)
            if one.get("@type") == "mention" and "@uri" in one
        ),
        replied_to=next((str(one.get("@to", "")) for one in _elements(message, _REPLY)), ""),
    )


def _elements(message: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The children of this name that have attributes."""
    return [one for one in message.get(name) or [] if isinstance(one, dict)]


def _body(bodies: list[object]) -> str | None:
    """The body without a language if there is one, else the first."""
    texts = [(isinstance(body, dict) and f"@{ns.XML}|lang" in body, _text(body)) for body in bodies]
    texts.sort(key=lambda pair: pair[0])
    return next((text for _, text in texts if text), None)


def _text(body: object) -> str | None:
    if isinstance(body, dict):
        body = body.get("#text")
    return body if isinstance(body, str) else None
