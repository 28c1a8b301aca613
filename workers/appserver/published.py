"""XEP-0357 section 7: what a publish says, as servers write it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.xmpp import forms, ns
from gateway.xmpp.element import Element
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.payload import NotAnElement, several
from workers.push.notification import Encrypted

LONGEST_TEXT: Final = 4000
"""characters of a body that are kept: providers take 4096 bytes with all around it"""

LONGEST_IV: Final = 64

MOST_COUNTED: Final = 100_000

LONGEST_SEALED: Final = 3000
"""characters of an encrypted payload that are passed on"""

_ENCRYPTED: Final = f"{ns.PUSH_ENCRYPT}|encrypted"
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_PRIORITY: Final = "tigase:push:priority:0|priority"


@dataclass(frozen=True)
class Published:
    """One publish request: where, with which secret, and the summary, None or "" for what was not told.

    `is_important`: somebody would want to see it. `is_call`: somebody rings.
    """

    node: str
    secret: str = field(default="", repr=False)
    count: int | None = None
    requests: int = 0
    sender: str = field(default="", repr=False)
    body: str = field(default="", repr=False)
    is_important: bool = False
    is_call: bool = False
    sealed: Encrypted | None = field(default=None, repr=False)

    @property
    def says_read(self) -> bool:
        """Nothing waits any more."""
        return self.count == 0 and not self.is_important


def read(iq: Element) -> Published:
    """Read the `<pubsub/>` of a request of type set. Raises StanzaError."""
    try:
        pubsub = next(iter(iq.payload().values()))[f"{ns.PUBSUB}|pubsub"]
    except NotAnElement as error:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "not well-formed") from error
    pubsub = pubsub if isinstance(pubsub, dict) else {}
    publish = pubsub.get(f"{ns.PUBSUB}|publish")
    if not isinstance(publish, dict):
        raise StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED, "notifications are published here, nothing else")
    node = publish.get("@node", "")
    items = [item for item in several(publish, f"{ns.PUBSUB}|item") if isinstance(item, dict)]
    notifications = [item[f"{ns.PUSH}|notification"] for item in items if f"{ns.PUSH}|notification" in item]
    if not node or not notifications:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "a node and an item with a notification are needed (XEP-0357)")
    options = form_fields(pubsub.get(f"{ns.PUBSUB}|publish-options"))
    return _of(node, options.get("secret", ""), notifications[-1])


def _of(node: str, secret: str, notification: Any) -> Published:
    notification = notification if isinstance(notification, dict) else {}
    told = form_fields(notification)
    sealed, priority = notification.get(_ENCRYPTED), _text(notification.get(_PRIORITY))
    is_call = isinstance(sealed, dict) and sealed.get("@type") == "voip"
    requests = _number(told.get("pending-subscription-count")) or 0
    body = told.get("last-message-body", "")
    return Published(
        node=node,
        secret=secret,
        count=_number(told.get("message-count")),
        requests=requests,
        sender=_jid(told.get("last-message-sender", "")),
        body=body[:LONGEST_TEXT],
        is_important=bool(body.strip() or sealed is not None or requests or priority == "high"),
        is_call=is_call,
        sealed=_sealed(sealed, "voip" if is_call else ""),
    )


def form_fields(parent: Any) -> dict[str, str]:
    """The first value of each field of the form in an element; servers leave its type out, or write any. Raises
    StanzaError(bad-request).
    """
    x = parent.get(f"{ns.DATA_FORMS}|x") if isinstance(parent, dict) else None
    if x is None:
        return {}
    if isinstance(x, dict):
        x = {**x, "@type": "submit"}
    return {var: values[0] for var, values in forms.read(x).fields.items() if values}


def _sealed(payload: Any, type_: str) -> Encrypted | None:
    """What only the device can read; one that no provider would take is as none."""
    data, iv = "".join(_text(payload).split()), payload.get("@iv", "") if isinstance(payload, dict) else ""
    if not (
        _BASE64.fullmatch(data) and len(data) <= LONGEST_SEALED and _BASE64.fullmatch(iv) and len(iv) <= LONGEST_IV
    ):
        return None
    return Encrypted(data, iv, type_)


def _number(text: str | None) -> int | None:
    """A count, bounded; None for what is none."""
    text = (text or "").strip()
    return min(int(text[:9]), MOST_COUNTED) if text.isascii() and text.isdigit() else None


def _jid(text: str) -> str:
    try:
        return str(JID.parse(text)) if text else ""
    except JIDError:
        return ""


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("#text")
    return value.strip() if isinstance(value, str) else ""


def message(published: Published, *, id_: str, content: str) -> bytes:
    """What is kept of it, as the message that push workers read: no more than `content` ("none", "sender", "body")."""
    sender = f" from='{escape(published.sender)}'" if content != "none" and published.sender else ""
    body = f"<body>{escape(published.body)}</body>" if content == "body" and published.body else ""
    call = f"<propose xmlns='{ns.CALLS}' id='{escape(id_)}'/>" if published.is_call else ""
    return (
        f"<message type='chat' id='{escape(id_)}'{sender}>{body}{call}{_written(published.sealed)}</message>".encode()
    )


def _written(sealed: Encrypted | None) -> str:
    if sealed is None:
        return ""
    kind = f" type='{sealed.type}'" if sealed.type else ""
    return f"<encrypted xmlns='{ns.PUSH_ENCRYPT}' iv='{sealed.iv}'{kind}>{sealed.data}</encrypted>"
