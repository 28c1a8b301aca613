"""What may be told of the newest waiting message: who wrote, and the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers.expat import ExpatError

import xmltodict


@dataclass(frozen=True)
class Summary:
    """The sender as a person would name it, and the body; None where there is none."""

    sender: str | None = field(default=None, repr=False)
    body: str | None = field(default=None, repr=False)


def summary(stanza: bytes) -> Summary:
    """Read a message (RFC 6121, section 5.2). One that cannot be read tells nothing."""
    try:
        message = xmltodict.parse(stanza, force_list=("body",)).get("message")
    except (ExpatError, ValueError):
        return Summary()
    if not isinstance(message, dict):
        return Summary()
    sender = message.get("@from")
    if sender is not None and message.get("@type") != "groupchat":
        sender = sender.partition("/")[0]  # the resource is for machines; in a room it is the nickname
    return Summary(sender, _body(message.get("body") or []))


def _body(bodies: list[object]) -> str | None:
    """The body without a language if there is one, else the first."""
    texts = [(isinstance(body, dict) and "@xml:lang" in body, _text(body)) for body in bodies]
    texts.sort(key=lambda pair: pair[0])
    return next((text for _, text in texts if text), None)


def _text(body: object) -> str | None:
    if isinstance(body, dict):
        body = body.get("#text")
    return body if isinstance(body, str) else None
