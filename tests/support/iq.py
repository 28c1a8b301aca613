"""Asking over the wire: one iq, its answer."""

import itertools
from typing import Any
from xml.etree.ElementTree import Element, tostring

import redis

from gateway.demo.stream import condition_of
from gateway.mailbox import keys
from gateway.mailbox.embedded import socket_path
from gateway.xmpp.escape import escape
from tests.support.phone import Phone, stanza
from tests.support.processes import DOMAIN, Account, Server

_ids = itertools.count(1)


def ask(phone: Phone, payload: str, *, to: str | None = None, type: str = "get") -> Element:  # noqa: A002
    """The answer, whatever it is; messages and presence before it are skipped."""
    address = f" to='{escape(to)}'" if to else ""
    return answer_to(phone, f"<iq type='{type}' id='%s'{address}>{payload}</iq>")


def answer_to(phone: Phone, iq: str) -> Element:
    """The answer to a whole iq whose id is written as %s."""
    name = f"ask{next(_ids)}"
    phone.send(iq.replace("%s", name))
    while True:
        element = phone.next()
        if element.tag == stanza("iq") and element.get("id") == name:
            return element


def result(phone: Phone, payload: str, *, to: str | None = None, type: str = "get") -> Element:  # noqa: A002
    """The payload of the result."""
    answer = ask(phone, payload, to=to, type=type)
    assert "result" == answer.get("type"), error_of(answer)
    return answer[0]


def refusal(phone: Phone, payload: str, *, to: str | None = None, type: str = "get") -> str:  # noqa: A002
    """The condition of the error."""
    return error_of(ask(phone, payload, to=to, type=type))


def error_of(answer: Element) -> str:
    """The condition of an error; "" if it is none."""
    error = answer.find(stanza("error"))
    return condition_of(error) if error is not None else ""


def below(element: Element, path: str) -> Element:
    """The element at a path below another, which must be there."""
    found = element.find(path)
    assert found is not None, f"no {path} in {tostring(element, 'unicode')}"
    return found


def info(phone: Phone, to: str = DOMAIN, node: str = "") -> Element:
    """disco#info's `<query/>`."""
    at = f" node='{escape(node)}'" if node else ""
    return result(phone, f"<query xmlns='http://jabber.org/protocol/disco#info'{at}/>", to=to)


def features(query: Element) -> set[str]:
    """The names of the features in the answer to disco#info."""
    return {child.get("var", "") for child in query if child.tag.endswith("}feature")}


def store_of(server: Server) -> "redis.Redis[Any]":
    """The server's Redis, to set a stage."""
    return redis.Redis(unix_socket_path=str(socket_path(server.directory / "data")))


def let_see(server: Server, account: Account, contact: Account, subscription: str = "from") -> None:
    """`contact` gets the presence of `account`, as if both had agreed on it."""
    with store_of(server) as store:
        item = f'{{"s":"{subscription}"}}'
        store.hset(keys.key(keys.prefix(account.jid), "roster", account.jid), contact.jid, item)


def block(server: Server, account: Account, jid: str) -> None:
    """`account` blocks an address."""
    with store_of(server) as store:
        store.sadd(keys.key(keys.prefix(account.jid), "blocked", account.jid), jid)
