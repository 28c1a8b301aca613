"""Clients that want to be told of nodes: capabilities on the wire, and the events that come of them."""

import itertools
from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

from gateway.mailbox import keys
from gateway.xmpp import caps, ns
from gateway.xmpp.escape import escape
from tests.support.iq import store_of
from tests.support.phone import HasAddress, Phone, stanza
from tests.support.processes import DOMAIN, Account, Server

NODE = "https://client.example"
EVENT = f"{{{ns.PUBSUB_EVENT}}}event"
_numbers = itertools.count(1)


class Client(Phone):
    """A phone with capabilities. Its string is no other client's of this run, unless `same_as` says whose. It answers
    what it is asked about them, and keeps events.
    """

    def __init__(self, server: HasAddress, account: Account, *nodes: str, same_as: "Client | None" = None) -> None:
        super().__init__(server, account)
        self.kind: str = same_as.kind if same_as else f"urn:example:kind:{next(_numbers)}:{account.name}"
        self.names: list[str] = []
        self.asked: list[Element] = []
        self.heard: list[Element] = []
        self.wants(*nodes)

    def wants(self, *nodes: str) -> "Client":
        """What the next presence says."""
        self.names = [ns.DISCO_INFO, self.kind, *(f"{node}+notify" for node in nodes)]
        return self

    @property
    def ver(self) -> str:
        return caps.verification([("client", "phone", "Test")], self.names)

    def presence(self, *, ver: str = "", hash_name: str = "sha-1") -> None:
        at = f" hash='{hash_name}'" if hash_name else ""
        self.send(f"<presence><c xmlns='{ns.CAPS}'{at} node='{NODE}' ver='{ver or self.ver}'/></presence>")

    def answer(self, request: Element, features: Iterable[str] | None = None) -> None:
        """The answer to disco#info."""
        self.asked.append(request)
        listed = "".join(f"<feature var='{name}'/>" for name in (self.names if features is None else features))
        node = request[0].get("node", "")
        self.send(
            f"<iq type='result' id='{escape(request.get('id', ''))}' to='{request.get('from')}'>"
            f"<query xmlns='{ns.DISCO_INFO}' node='{escape(node)}'>"
            f"<identity category='client' type='phone' name='Test'/>{listed}</query></iq>"
        )

    def online(self, resource: str = "phone") -> "Client":
        """Bound, available, its capabilities known."""
        if not self.jid:
            self.bind(resource)
            self.enable()
        self.presence()
        self.settle()
        return self

    def next(self, timeout_s: float = 10.0) -> Element:
        element = super().next(timeout_s)
        if is_event(element):
            self.heard.append(element)
        return element

    def settle(self) -> None:
        """Returns when the server has done what was asked of it so far, and what that brought."""
        for _ in range(3):
            self.send(f"<iq type='get' id='fence' to='{DOMAIN}'><ping xmlns='{ns.PING}'/></iq>")
            while (element := self.next()).get("id") != "fence":
                self._react(element)

    def _react(self, element: Element) -> None:
        if element.tag == stanza("iq") and element.get("type") == "get":
            self.answer(element)

    def event(self) -> Element:
        """The next event, whatever comes before it."""
        while not self.heard:
            self._react(self.next())
        return self.heard.pop(0)

    def events(self) -> list[Element]:
        """The events that came until now."""
        self.settle()
        found, self.heard = self.heard, []
        return found


def is_event(element: Element) -> bool:
    return element.tag == stanza("message") and element.find(EVENT) is not None


def node_of(event: Element) -> str:
    """The node an event is about."""
    return event[0][0].get("node", "")


def text_of(event: Element) -> str:
    return tostring(event, encoding="unicode")


def befriend(server: Server, one: Account, other: Account, *groups: str, subscription: str = "both") -> None:
    """They get each other's presence, as if both had agreed on it; `groups` are those in which `one` has the other."""
    listed = ", ".join(f'"{group}"' for group in groups)
    back = {"both": "both", "from": "to", "to": "from"}[subscription]
    with store_of(server) as store:
        for account, contact, says, g in ((one, other, subscription, f', "g": [{listed}]'), (other, one, back, "")):
            key = keys.key(keys.prefix(account.jid), "roster", account.jid)
            store.hset(key, contact.jid, f'{{"s": "{says}", "v": 1{g}}}')


def publish(node: str, payload: str, item: str = "current", **options: str) -> str:
    """The payload of a publish request, with publish-options if there are any."""
    fields = "".join(f"<field var='pubsub#{name}'><value>{value}</value></field>" for name, value in options.items())
    form = (
        f"<publish-options><x xmlns='{ns.DATA_FORMS}' type='submit'><field var='FORM_TYPE' type='hidden'>"
        f"<value>{ns.PUBSUB_PUBLISH_OPTIONS}</value></field>{fields}</x></publish-options>"
    )
    at = f" id='{escape(item)}'" if item else ""
    return (
        f"<pubsub xmlns='{ns.PUBSUB}'><publish node='{escape(node)}'><item{at}>{payload}</item></publish>"
        f"{form if options else ''}</pubsub>"
    )


def items(node: str, inner: str = "", attributes: str = "", after: str = "") -> str:
    """The payload of a request for items."""
    return f"<pubsub xmlns='{ns.PUBSUB}'><items node='{escape(node)}'{attributes}>{inner}</items>{after}</pubsub>"


def ids(payload: Element) -> list[str]:
    """The ids of the items in an answer."""
    return [item.get("id", "") for item in payload.iter(f"{{{ns.PUBSUB}}}item")]
