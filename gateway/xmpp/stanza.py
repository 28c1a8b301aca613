"""RFC 6120 §8: stanzas as bytes, made, answered and looked at. The bytes never declare the namespace jabber:client."""

from __future__ import annotations

from gateway.xmpp import ns
from gateway.xmpp.element import STANZAS, Element
from gateway.xmpp.errors import LocalProtocolError, StanzaError, StreamError
from gateway.xmpp.escape import escape
from gateway.xmpp.parser import StreamParser
from gateway.xmpp.payload import NotAnElement
from gateway.xmpp.start_tag import attributes, end_of_tag, qualified_name, write_attributes

__all__ = [
    "STANZAS",
    "Element",
    "NotAnElement",
    "add_child",
    "end_tag_at",
    "error_for",
    "error_reply",
    "escape",
    "iq_result",
    "is_answerable",
    "peek",
    "with_stanza_id",
]


def iq_result(element: Element, inner: bytes = b"", *, to: str | None = None, from_: str | None = None) -> bytes:
    """The result of an iq (RFC 6120 §8.2.3). `to` and `from_` are the request's, swapped, if not given."""
    attrs = element.attrs
    start = write_attributes(
        {
            "type": "result",
            "id": attrs.get("id"),
            "to": attrs.get("from") if to is None else to,
            "from": attrs.get("to") if from_ is None else from_,
        }
    )
    return b"<iq%b>%b</iq>" % (start, inner) if inner else b"<iq%b/>" % start


def is_answerable(name: str, type_: str | None) -> bool:
    """Whether an error may be sent for such a stanza (RFC 6120 §8.3.1): never for an error, never for an iq result."""
    return type_ != "error" and name in STANZAS and (name != "iq" or type_ != "result")


def error_reply(element: Element, error: StanzaError, *, to: str | None = None, from_: str | None = None) -> bytes:
    """The stanza that tells the sender of `element` of the error (RFC 6120 §8.3.1). `to` and `from_` are the element's,
    swapped, if not given. Raises LocalProtocolError if there must be no answer; see `is_answerable`.
    """
    return _error(element.name, element.attrs, error, to, from_)


def error_for(stanza: bytes, error: StanzaError, *, to: str | None = None, from_: str | None = None) -> bytes:
    """As `error_reply`, for a stanza of which only the bytes are there."""
    tag = stanza[: _end_of_tag(stanza)]
    return _error(qualified_name(tag).decode(), attributes(tag), error, to, from_)


def _error(name: str, attrs: dict[str, str], error: StanzaError, to: str | None, from_: str | None) -> bytes:
    if not is_answerable(name, attrs.get("type")):
        raise LocalProtocolError(f"an error for a {name} of type {attrs.get('type')}")
    start = write_attributes(
        {
            "type": "error",
            "id": attrs.get("id"),
            "to": attrs.get("from") if to is None else to,
            "from": attrs.get("to") if from_ is None else from_,
        }
    )
    return f"<{name}".encode() + start + b">" + error.to_bytes() + f"</{name}>".encode()


def add_child(stanza: bytes, child: bytes) -> bytes:
    """The stanza with one more child, behind the others. Raises NotAnElement."""
    head = _end_of_tag(stanza)
    if head == len(stanza) and stanza.endswith(b"/>"):
        return b"%b>%b</%b>" % (stanza[:-2], child, qualified_name(stanza))
    at = stanza.rfind(b"</")
    if at < head:
        raise NotAnElement("no end tag")
    return stanza[:at] + child + stanza[at:]


def end_tag_at(stanza: bytes) -> int:
    """Bytes before the end tag, 0 if there is none: where a child may be put in behind the others."""
    return max(0, stanza.rfind(b"</"))


def with_stanza_id(stanza: bytes, split: int, by: str, id_: str) -> bytes:
    """The stanza as the mailbox of `by`, a bare JID, keeps it: with its archive id (XEP-0359) before the end tag."""
    return b"%b<stanza-id xmlns='%b' by='%b' id='%b'/>%b" % (
        stanza[:split], ns.STANZA_ID.encode(), by.encode(), id_.encode(), stanza[split:],
    )  # fmt: skip


def peek(stanza: bytes) -> Element:
    """Read one stanza that is there as bytes, such as a queue's entry. Raises NotAnElement if it is anything else."""
    parser = StreamParser.inside()
    try:
        found = list(parser.feed(stanza))
    except StreamError as error:
        raise NotAnElement(str(error)) from error
    if len(found) != 1 or not isinstance(found[0], Element) or parser.take_unparsed():
        raise NotAnElement("not one whole element")
    return found[0]


def _end_of_tag(stanza: bytes) -> int:
    try:
        return end_of_tag(stanza)
    except ValueError as error:
        raise NotAnElement(str(error)) from error
