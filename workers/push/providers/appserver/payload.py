"""XEP-0357 section 7: the request that publishes a notification."""

from __future__ import annotations

from typing import Final

from gateway.xmpp import forms, ns
from gateway.xmpp.escape import escape
from gateway.xmpp.forms import FORM_TYPE, Form
from workers.push.encrypted import encrypted
from workers.push.notification import Content, Encrypted, Push, fitted

ENCRYPT: Final = "tigase:push:encrypt:0"
PRIORITY: Final = "tigase:push:priority:0"


def publish(push: Push, *, node: str) -> bytes:
    """The `<pubsub/>` of the request. The item's id is the push's, the same whenever it is tried again; the client's
    publish-options are passed on as they came.
    """
    sealed = encrypted(push)
    body = push.body if push.content >= Content.BODY and sealed is None else None
    notification = fitted(lambda text: _notification(push, sealed, text), body)
    form = push.registration.form if push.registration is not None else ""
    options = f"<publish-options>{form}</publish-options>" if form else ""
    return (
        f"<pubsub xmlns='{ns.PUBSUB}'><publish node='{escape(node)}'><item id='{push.push_id}'>".encode()
        + notification
        + f"</item></publish>{options}</pubsub>".encode()
    )


def _notification(push: Push, sealed: Encrypted | None, body: str | None) -> bytes:
    """What only the device can read stands in place of the summary, which everybody could."""
    inner = _summary(push, body) if sealed is None else _encrypted(sealed)
    priority = f"<priority xmlns='{PRIORITY}'>{'high' if push.urgent else 'low'}</priority>"
    return f"<notification xmlns='{ns.PUSH}'>".encode() + inner + f"{priority}</notification>".encode()


def _summary(push: Push, body: str | None) -> bytes:
    """The form `urn:xmpp:push:summary`; nothing if no message waits, since a count of 0 says that all was read."""
    count = push.count if push.unread is None else max(push.unread, push.count)
    if not count and not push.requests:
        return b""
    fields = {
        FORM_TYPE: [ns.PUSH_SUMMARY],
        "message-count": [str(count)],
        "pending-subscription-count": [str(push.requests)],
    }
    if push.sender and push.content >= Content.SENDER:
        fields["last-message-sender"] = [push.sender]
    if body:
        fields["last-message-body"] = [body]
    return forms.write(Form("submit", fields))


def _encrypted(sealed: Encrypted) -> bytes:
    kind = f" type='{sealed.type}'" if sealed.type else ""
    return f"<encrypted xmlns='{ENCRYPT}' iv='{sealed.iv}'{kind}>{sealed.data}</encrypted>".encode()
