"""A client that asks what nobody should, and judges every answer it gets (RFC 6120 sections 8.2.3 and 8.3)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, tostring
from xml.sax.saxutils import quoteattr

import gevent

from gateway.demo.stream import STREAM_ERROR, Address, ClientStream, ServerSilent, StreamEnded, condition_of
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition
from gateway.xmpp.jid import JID, JIDError
from tests.support.phone import HasAddress, stanza
from tests.support.processes import DOMAIN, PASSWORD, Account

BATCH: Final = 20
"""requests on their way at once"""

MOST_S: Final = 20.0
"""for a batch of them, on a busy machine"""

IQ: Final = stanza("iq")
FENCE: Final = f"<iq type='get' id='%s' to='{DOMAIN}'><ping xmlns='{ns.PING}'/></iq>"

CONDITIONS: Final = frozenset(map(str, StanzaCondition)) - {"internal-server-error", "undefined-condition"}

TYPES: Final[Mapping[str, str]] = {
    "bad-request": "modify",
    "conflict": "cancel",
    "feature-not-implemented": "cancel modify",
    "forbidden": "auth cancel",  # cancel: XEP-0050 section 4.4
    "gone": "cancel",
    "item-not-found": "cancel",
    "jid-malformed": "modify",
    "not-acceptable": "modify cancel",  # cancel: XEP-0191 section 3.3
    "not-allowed": "cancel",
    "not-authorized": "auth",
    "policy-violation": "modify wait",
    "recipient-unavailable": "wait",
    "redirect": "modify",
    "registration-required": "auth",
    "remote-server-not-found": "cancel",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait modify",  # modify: XEP-0060 section 7.1.3
    "service-unavailable": "cancel",
    "subscription-required": "auth",
    "unexpected-request": "wait modify cancel",  # cancel: XEP-0060 section 6.2.3.2
}
"""RFC 6120 section 8.3.3: the types that a condition has"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    what: str
    type: str
    to: str
    """"" for none"""
    payload: str

    def to_xml(self, id_: str) -> str:
        address = f" to={quoteattr(self.to)}" if self.to else ""
        return f"<iq type='{self.type}' id='{id_}'{address}>{self.payload}</iq>"

    @property
    def is_request(self) -> bool:
        return self.type in ("get", "set")


_open: list[Attacker] = []


def close_attackers() -> None:
    """Cuts what a test left open."""
    while _open:
        _open.pop().cut()


class Fault(AssertionError):
    """An answer is not as it has to be."""


class Attacker:
    """One stream of one account. `heard` is every byte that it was sent since it was bound."""

    def __init__(self, server: HasAddress, account: Account, resource: str = "attack") -> None:
        self.account = account
        self._stream = _Recorder(server.address(), timeout_s=MOST_S)
        _open.append(self)
        self._stream.connect()
        self._stream.authenticate(account.name, PASSWORD)
        bind = f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'><resource>{resource}</resource></bind></iq>"
        answer = self._stream.request(bind, IQ)
        self.jid = answer.findtext(f"{{{ns.BIND}}}bind/{{{ns.BIND}}}jid") or ""
        self.unasked: list[Element] = []
        """what came and is no answer"""
        self.count = 0
        """requests"""
        self._ids = itertools.count(1)

    @property
    def heard(self) -> bytes:
        return bytes(self._stream.heard)

    def send(self, xml: str) -> None:
        self._stream.send(xml)

    def settle(self) -> None:
        """Returns when everything that was sent has been answered."""
        fence = f"fence{next(self._ids)}"
        self.send(FENCE.replace("%s", fence))
        while True:
            element = self._next()
            if element.get("id") == fence:
                return
            self.unasked.append(element)

    def ask(self, requests: Iterable[Asked]) -> list[Element | None]:
        """Sends them in batches, and answers the answer of each; None for what must have none. Raises Fault."""
        answers: list[Element | None] = []
        for batch in _batched(requests):
            answers += self._batch(batch, FENCE)
        return answers

    def ask_last(self, asked: Asked) -> Element | None:
        """As `ask`, of one after which the stream may end."""
        return self._batch((asked,), "")[0]

    def _batch(self, batch: tuple[Asked, ...], fencing: str) -> list[Element | None]:
        ids = {f"f{next(self._ids)}": asked for asked in batch}
        fence = f"fence{next(self._ids)}"
        self.count += len(batch)
        missing = {id_ for id_, asked in ids.items() if asked.is_request}
        found: dict[str, Element] = {}
        with gevent.Timeout(MOST_S, ServerSilent(f"no answers to {[ids[id_] for id_ in missing][:3]}")):
            self.send("".join(asked.to_xml(id_) for id_, asked in ids.items()) + fencing.replace("%s", fence))
            is_fenced = not fencing
            while missing or not is_fenced:
                element = self._next(ids.values())
                id_ = element.get("id", "")
                if id_ == fence:
                    is_fenced = True
                elif element.tag == IQ and element.get("type") in ("result", "error") and id_ in ids:
                    if id_ not in missing:
                        raise Fault(f"an answer too many to {ids[id_]}: {_shown(element)}")
                    self._judge(ids[id_], element)
                    missing.remove(id_)
                    found[id_] = element
                else:
                    self.unasked.append(element)
        return [found.get(id_) for id_ in ids]

    def _next(self, asked: Iterable[Asked] = ()) -> Element:
        try:
            element = self._stream.receive(MOST_S)
        except StreamEnded as error:
            raise Fault(f"the stream ended: {error}; {[each.to_xml('') for each in asked]}") from error
        if element.tag == STREAM_ERROR:
            raise Fault(f"the stream ended: {_shown(element)}; {[each.to_xml('') for each in asked]}")
        return element

    def _judge(self, asked: Asked, answer: Element) -> None:
        def fault(why: str) -> Fault:
            return Fault(f"{why}: {asked.what!r} to {asked.to!r}: {asked.payload[:1500]} -> {_shown(answer)}")

        if answer.get("to") != self.jid:
            raise fault("addressed to somebody else")
        if not self._is_from(answer.get("from"), asked.to):
            raise fault("not from whom was asked")
        errors = answer.findall(stanza("error"))
        if (answer.get("type") == "error") != (len(errors) == 1):
            raise fault("an error without <error/>, or the reverse")
        if answer.get("type") == "result" and len(answer) > 1:
            raise fault("a result of several elements")
        if errors:
            conditions = [child for child in errors[0] if child.tag.startswith(f"{{{ns.STANZAS}}}")]
            names = [child.tag.rpartition("}")[2] for child in conditions if not child.tag.endswith("}text")]
            if len(names) != 1 or names[0] not in CONDITIONS:
                raise fault("no defined condition")
            if errors[0].get("type") not in TYPES[names[0]].split():
                raise fault("not a type of the condition")

    def _is_from(self, written: str | None, to: str) -> bool:
        if not to:
            return written in (None, self.account.jid)
        try:
            return written is not None and JID.parse(written) == JID.parse(to)
        except JIDError:
            return written in (None, to, DOMAIN)

    def cut(self) -> None:
        self._stream.cut()


class _Recorder(ClientStream):
    """Keeps what came."""

    __slots__ = ("heard",)

    def __init__(self, address: Address, *, timeout_s: float) -> None:
        super().__init__(address, timeout_s=timeout_s)
        self.heard = bytearray()

    def read(self) -> list[Element]:
        elements = super().read()
        for element in elements:
            self.heard += tostring(element)
        return elements


def _batched(requests: Iterable[Asked]) -> Iterator[tuple[Asked, ...]]:
    left = iter(requests)
    while batch := tuple(itertools.islice(left, BATCH)):
        yield batch


def _shown(element: Element) -> str:
    return tostring(element, "unicode")[:1500]


def error_of(answer: Element | None) -> str:
    """The condition; "" for a result."""
    error = answer.find(stanza("error")) if answer is not None else None
    return condition_of(error) if error is not None else ""


def told(answer: Element | None, *addresses: str) -> str:
    """The answer without its id, and with these addresses masked: what somebody learns from it."""
    if answer is None:
        return ""
    text = tostring(answer, "unicode").replace(f'id="{answer.get("id", "")}"', "", 1)
    for address in sorted(addresses, key=len, reverse=True):
        text = text.replace(address, "…")
    return text
