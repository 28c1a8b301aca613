"""XEP-0357 sections 5 and 6: what a client asked for, as it wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.hooks import Query
from gateway.xmpp import forms, ns, tree
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.jid import JID, JIDError

LONGEST: Final = 4096
"""characters of a node or a token; the longest real ones are a few hundred"""


@dataclass(frozen=True, slots=True)
class Asked:
    """`<enable/>` or `<disable/>`."""

    query: Query
    service: JID
    node: str
    content: dict[str, Any]
    """the element, as `gateway.xmpp.payload` reads it"""

    def fields(self) -> dict[str, str]:
        """The fields of its form of publish-options (XEP-0357 section 5), and their first values. Raises StanzaError if
        there is no such form.
        """
        form = forms.read(self.content.get(f"{ns.DATA_FORMS}|x"))
        if form.form_type != ns.PUBSUB_PUBLISH_OPTIONS:
            raise StanzaError(StanzaCondition.BAD_REQUEST, f"the form's FORM_TYPE is {ns.PUBSUB_PUBLISH_OPTIONS}")
        return {name: values[0] for name, values in form.fields.items() if values}

    def form(self) -> str:
        """The form as it came, to be passed on: an element that stands by itself; "" without one."""
        if f"{ns.DATA_FORMS}|x" not in self.content:
            return ""
        self.fields()
        (element,) = tree.read(self.query.iq, 2).children
        (form,) = element.named(ns.DATA_FORMS, "x")
        return form.xml.decode()


def read(query: Query, name: str) -> Asked:
    """The request, whose payload is of this name. Raises StanzaError."""
    content = next(iter(query.iq.payload().values()))[f"{ns.PUSH}|{name}"]
    if not isinstance(content, dict) or not content.get("@jid"):
        raise StanzaError(StanzaCondition.BAD_REQUEST, "the attribute jid names the push service")
    try:
        service = JID.parse(content["@jid"])
    except JIDError as error:
        raise StanzaError(StanzaCondition.JID_MALFORMED, str(error)) from error
    return Asked(query, service, short(content.get("@node", ""), "the node"), content)


def short(text: str, what: str) -> str:
    """The text, if it is no longer than anything sensible. Raises StanzaError."""
    if len(text) > LONGEST:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"{what} is longer than {LONGEST} characters")
    return text
