"""XEP-0114: Jabber Component Protocol, version 1.6: the connection of an external component, and its session.

The session is a cursor over the queue of the component's domain, like any other; without XEP-0198, what the socket took
is done. Its stanzas come from many addresses, so each of them is routed in the name of its own `from`.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.composition import Features
from gateway.mailbox import entry
from gateway.mailbox.components import Claimed
from gateway.mailbox.model import Grip, Origin
from gateway.sections import ComponentsSettings, ListenSettings, ServerSettings
from gateway.session.component_handshake import Handshake
from gateway.session.connection import BEFORE_AUTHENTICATION, Connection
from gateway.session.inbound import MOST_ARRIVALS, Arrival
from gateway.session.link import Link
from gateway.session.node import Node
from gateway.session.session import Pipe, Session
from gateway.settings import ConfigError, Settings
from gateway.telemetry import get_logger
from gateway.xmpp import ns
from gateway.xmpp.component import for_component, from_component
from gateway.xmpp.element import STANZAS
from gateway.xmpp.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from gateway.xmpp.event import StreamOpened
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.parser import StreamParser
from gateway.xmpp.stanza import Element, error_reply, is_answerable

log = get_logger(__name__)

FEATURE = "components"
"""what `[features] off` calls them"""

CONTENT = frozenset({ns.COMPONENT, ns.CLIENT})
"""what stanzas may be in: some libraries write those that they pass on in jabber:client"""

SERVED = frozenset({ns.DISCO_INFO, ns.DISCO_ITEMS, ns.PING, ns.VERSION, ns.TIME, ns.LAST_ACTIVITY})
"""what this server answers to a component itself; the rest is for those who have an account here"""

_KINDS = {"message": entry.MESSAGE, "presence": entry.PRESENCE}


class Speaker:
    """One address at the component's domain, as features see it: `hooks.SessionView`."""

    __slots__ = ("grip", "jid")

    def __init__(self, jid: JID, grip: Grip) -> None:
        self.jid = jid
        self.grip = grip

    def rest(self, is_inactive: bool) -> None:
        """A component has no client state (XEP-0352)."""
        raise StanzaError(StanzaCondition.NOT_ALLOWED, "components are always active")


class Said:
    """One stanza of a component's: `router.Inbound`, in the name of its own sender."""

    __slots__ = ("_arrival", "session")

    def __init__(self, arrival: Arrival, speaker: Speaker) -> None:
        self._arrival = arrival
        self.session = speaker

    @property
    def origin(self) -> Origin:
        """See `router.Inbound`. The sender has no mailbox that would keep its part."""
        origin = self._arrival.origin
        return Origin(origin.sid, origin.count, origin.keep_ms)

    def reply(self, kind: str, stanza: bytes) -> None:
        """See `router.Inbound`."""
        self._arrival.reply(kind, stanza)

    def answered(self, position: int, stanza: bytes) -> None:
        """See `router.Inbound`."""
        self._arrival.answered(position, stanza)

    @property
    def may_be_taken(self) -> bool:
        """See `router.Inbound`."""
        return self._arrival.may_be_taken

    def had_no_room(self) -> None:
        """See `router.Inbound`."""
        self._arrival.had_no_room()

    def settled(self) -> None:
        """See `router.Inbound`."""
        self._arrival.settled()

    def kept(self) -> None:
        """See `router.Inbound`."""
        self._arrival.kept()

    def fenced(self) -> None:
        """See `router.Inbound`."""
        self._arrival.fenced()


class ComponentSession(Session):
    """The session of a component whose connection is in this process."""

    fair_share = MOST_ARRIVALS  # it speaks for many

    __slots__ = ()

    def __init__(self, *, node: Node, pipe: Pipe, domain: JID, claimed: Claimed) -> None:
        super().__init__(
            node=node,
            pipe=pipe,
            jid=domain,
            grip=claimed.grip,
            started_ms=claimed.at_ms,
            acked=claimed.acked,
            tail=claimed.tail,
        )
        # Every connection counts from 1 again, in the same session.
        self.origin_id = f"{claimed.grip.sid}-{claimed.grip.epoch}"

    def _route(self, element: Element, arrival: Arrival) -> None:
        speaker = Speaker(self._sender(element), self.grip)
        to_text = element.attrs.get("to")
        if not to_text:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "a component's stanzas need a `to` (XEP-0114)")
        try:
            to = JID.parse(to_text)
        except JIDError as error:
            raise StanzaError(StanzaCondition.JID_MALFORMED, str(error)) from error
        if self._is_request_to_server(element, to) and element.children[0][0] not in SERVED:
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        self.node.router.route(element, to, Said(arrival, speaker))

    def _sender(self, element: Element) -> JID:
        """The stanza's `from`, which must be at the component's domain; without one the component itself speaks."""
        try:
            sender = JID.parse(element.attrs.get("from") or self.user)
        except JIDError as error:
            raise StreamError(StreamCondition.INVALID_FROM, str(error)) from error
        if sender.domain != self.user:
            raise StreamError(StreamCondition.INVALID_FROM, f"a component's stanzas come from {self.user}")
        return sender

    def _is_request_to_server(self, element: Element, to: JID) -> bool:
        is_request = element.name == "iq" and element.attrs.get("type") in ("get", "set") and bool(element.children)
        return is_request and not to.local and not self.node.router.is_component(to)

    def _refuse(self, element: Element, error: StanzaError, arrival: Arrival) -> None:
        if not is_answerable(element.name, element.attrs.get("type")):
            arrival.settled()
            return
        reply = error_reply(element, error, to=element.attrs.get("from") or self.user)
        arrival.reply(_KINDS.get(element.name, entry.IQ_RESPONSE), reply)

    def end(self, *, by_client: bool) -> None:
        """The connection is over. However it ended, what waits is kept for `component_wait`, or goes back."""
        super().end(by_client=False)


class ComponentConnection(Connection):
    """Serves one component over `link` until either is done."""

    __slots__ = ("_handshake",)

    def __init__(self, link: Link, node: Node) -> None:
        super().__init__(link, node)
        self._negotiation = None
        self._parser = StreamParser(BEFORE_AUTHENTICATION, content=CONTENT)
        self._handshake = Handshake(node, self)

    def _opened(self, event: StreamOpened) -> None:
        if self._stream_open:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "the stream is open already")
        self._stream_open = True
        self._handshake.opened(event)

    def _receive(self, element: Element) -> None:
        session = self.session
        if session is None:
            claimed = self._handshake.receive(element)
            self._begin(ComponentSession(node=self._node, pipe=self, domain=self._handshake.domain, claimed=claimed))
        elif element.ns in CONTENT and element.name in STANZAS:
            session.receive(from_component(element))
        else:
            raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE)

    def _begin(self, session: ComponentSession) -> None:
        self.raise_limits()
        self.session = session
        self._link.on_drained = session.cursor.socket_took_all
        self._node.connections[self] = None
        self._node.registry.add(session)
        session.cursor.look()
        log.info("component_connected", component=session.user, peer=self._link.peer, waiting=session.cursor.tail)

    def write(self, data: bytes) -> None:
        """See `Connection`: what is written are whole stanzas, or parts of the stream that name no namespace."""
        super().write(for_component(data) if self.session is not None else data)

    def _refuse(self, error: StreamError) -> None:
        if not self._stream_open:
            self._stream_open = True
            self._handshake.answer_header("")
        super()._refuse(error)

    def end(self, error: StreamError | None) -> None:
        """See `Connection`. A component cannot resume, so it is told that the server leaves."""
        super().end(error or StreamError(StreamCondition.SYSTEM_SHUTDOWN))


def component_domains(settings: Settings, features: Features) -> frozenset[str]:
    """The configured components, none if the feature is off. Raises ConfigError for a domain of this server's own."""
    if FEATURE not in features.names:
        return frozenset()
    components, server = settings.of(ComponentsSettings), settings.of(ServerSettings)
    own = {*server.domains, *(f"{host}.{domain}" for host in features.hosts for domain in server.domains)}
    faults = [f"components.domains.{domain}: is this server's own" for domain in components.domains if domain in own]
    if faults:
        raise ConfigError(*faults)
    if components.domains and not settings.of(ListenSettings).components:
        log.warning("components_cannot_connect", reason="listen.components is empty")
    return frozenset(components.domains)


def serve_components(node: Node) -> Callable[[Link], None]:
    """What a listener for components calls with each new connection."""
    return lambda link: ComponentConnection(link, node).run()
