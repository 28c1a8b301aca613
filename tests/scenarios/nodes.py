"""Requests to the nodes of an account (XEP-0060, XEP-0163)."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element, tostring

from gateway.xmpp import ns
from tests.support.eventing import Client, befriend
from tests.support.iq import ask, error_of
from tests.support.phone import stanza
from tests.support.processes import Server

TUNE = "http://jabber.org/protocol/tune"
TEXT = f"<tune xmlns='{TUNE}'/>"


@dataclass(frozen=True)
class Pair:
    """Juliet, and Romeo who is her contact (or not); both want tunes."""

    juliet: Client
    romeo: Client


def a_pair(server: Server) -> Pair:
    one, other = server.account(), server.account()
    befriend(server, one, other)
    return Pair(Client(server, one, TUNE).online(), Client(server, other, TUNE).online())


def a_client(server: Server) -> Client:
    return Client(server, server.account(), TUNE).online()


def owner(inner: str) -> str:
    return f"<pubsub xmlns='{ns.PUBSUB_OWNER}'>{inner}</pubsub>"


def pubsub(inner: str) -> str:
    return f"<pubsub xmlns='{ns.PUBSUB}'>{inner}</pubsub>"


def configured(
    node: str = TUNE, type_: str = "submit", form_type: str = f"{ns.PUBSUB}#node_config", **fields: str
) -> str:
    listed = "".join(f"<field var='pubsub#{name}'><value>{value}</value></field>" for name, value in fields.items())
    return owner(
        f"<configure node='{node}'><x xmlns='{ns.DATA_FORMS}' type='{type_}'>"
        f"<field var='FORM_TYPE' type='hidden'><value>{form_type}</value></field>{listed}</x></configure>"
    )


def done(phone: Client, payload: str, type_: str = "set", to: str | None = None) -> Element:
    """The result of a request, which must not be an error."""
    answer = ask(phone, payload, type=type_, to=to)
    assert "result" == answer.get("type"), tostring(answer)
    return answer


def refusal(phone: Client, payload: str, type_: str = "set", to: str | None = None) -> tuple[str, str]:
    """Condition and pubsub condition (with its feature) of the error."""
    answer = ask(phone, payload, type=type_, to=to)
    error = answer.find(stanza("error"))
    assert error is not None, tostring(answer)
    specific = [child for child in error if child.tag.startswith(f"{{{ns.PUBSUB_ERRORS}}}")]
    named = specific[0].tag.split("}")[1] if specific else ""
    feature = specific[0].get("feature", "") if specific else ""
    return error_of(answer), f"{named} {feature}".strip()
