"""XEP-0357 section 7.1: what a foreign app server says of a notification goes to the push worker that published it."""

from __future__ import annotations

from gateway.hooks import Reply
from gateway.mailbox.errors import StoreError
from gateway.mailbox.push_answers import Answer, PushAnswers, worker_of
from gateway.sections import ComponentsSettings
from gateway.telemetry import get_logger
from gateway.xmpp import ns
from gateway.xmpp.element import Element
from gateway.xmpp.inner import inner
from gateway.xmpp.payload import NotAnElement

log = get_logger(__name__)


def answered(reply: Reply) -> None:
    """Hand on what a service answered. Nothing of it is believed here: the worker knows whom it asked."""
    iq, service = reply.iq, reply.session.jid
    if not worker_of(iq.attrs["id"]) or service.domain not in reply.services.settings.of(ComponentsSettings).domains:
        return  # a client would fill lists that nobody reads
    condition, error_type = ("", "") if iq.attrs["type"] == "result" else _error(iq)
    answer = Answer(
        id=iq.attrs["id"],
        service=str(service),
        type=iq.attrs["type"],
        condition=condition,
        error_type=error_type,
    )
    PushAnswers(reply.services.mailbox.journal).put(answer, _handed)


def _error(iq: Element) -> tuple[str, str]:
    """Condition and type (RFC 6120 section 8.3.2)."""
    try:
        for error in inner(iq):
            if error.name == "error":
                names = [name for namespace, name in error.children if namespace == ns.STANZAS and name != "text"]
                return names[0] if names else "", error.attrs.get("type", "")
    except NotAnElement:
        pass
    return "", ""


def _handed(reply: object) -> None:
    if isinstance(reply, StoreError):
        log.info("push_answer_lost", error=str(reply))
