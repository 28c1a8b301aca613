"""XEP-0114 section 3: from a component's stream header to its session: who it is, and whether it may be that."""

from __future__ import annotations

from typing import Protocol

from gateway.mailbox.components import Claimed, Components, Taken
from gateway.mailbox.notices import publish_conflict
from gateway.sections import ComponentsSettings, ServerSettings
from gateway.session.node import Node
from gateway.telemetry import get_logger
from gateway.xmpp import component, ns
from gateway.xmpp.element import Element
from gateway.xmpp.errors import StreamCondition, StreamError
from gateway.xmpp.event import StreamOpened
from gateway.xmpp.jid import JID, JIDError

log = get_logger(__name__)


class Channel(Protocol):
    """What the handshake needs of its connection."""

    def write(self, data: bytes) -> None:
        """Bytes for the component."""


class Handshake:
    """Leads one component to its session. `domain` is the component's, once its stream is open."""

    def __init__(self, node: Node, channel: Channel) -> None:
        self._node = node
        self._channel = channel
        self._settings = node.settings.of(ComponentsSettings)
        self._stream_id = ""
        self.domain = JID.parse(node.settings.of(ServerSettings).domains[0])

    def opened(self, event: StreamOpened) -> None:
        """The component sent its stream header: answer it. Raises StreamError."""
        wanted = event.attrs.get("to", "")
        domain = self._configured(wanted)
        self.answer_header(wanted if domain is not None else "")
        if event.ns != ns.COMPONENT:
            raise StreamError(StreamCondition.INVALID_NAMESPACE, f"components speak {ns.COMPONENT}")
        if domain is None:
            raise StreamError(StreamCondition.HOST_UNKNOWN, "no component of that name is configured")
        self.domain = domain

    def _configured(self, wanted: str) -> JID | None:
        try:
            jid = JID.parse(wanted)
        except JIDError:
            return None
        return jid if str(jid) in self._settings.domains else None

    def answer_header(self, domain: str) -> None:
        """Our stream header, which has to come before everything else, a stream error too."""
        self._stream_id = self._node.new_id()
        self._channel.write(component.header(domain=domain or str(self.domain), stream_id=self._stream_id))

    def receive(self, element: Element) -> Claimed:
        """Take what comes first, which must be the right <handshake/>. Answers the session; raises StreamError."""
        name = str(self.domain)
        if element.ns != ns.COMPONENT or element.name != "handshake":
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "the handshake comes first")
        row = self._settings.domains[name]
        if not component.proves(element, stream_id=self._stream_id, secret=row.secret.value()):
            log.warning("component_not_authorized", component=name)
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "the secret is another")
        claimed = self._claimed(name)
        self._channel.write(component.HANDSHAKE)
        return claimed

    def _claimed(self, domain: str) -> Claimed:
        """The component's session. A live one elsewhere stays or goes as `component_conflict_resolve` says; one whose
        process died goes in any case.
        """
        components, sid = Components(self._node.mailbox), self._node.new_id()
        over: Taken | None = None
        while True:
            found = components.claim(
                domain=domain,
                sid=sid,
                owner=f"{self._node.name}/{sid}",
                wait_ms=self._settings.component_wait * 1000,
                over=over,
            )
            if isinstance(found, Claimed):
                self._evict(found)
                return found
            if over is not None or not self._may_replace(found, components):
                log.warning("component_connected_twice", component=domain, node=found.node)
                raise StreamError(StreamCondition.CONFLICT, "the component is connected already")
            over = found

    def _may_replace(self, found: Taken, components: Components) -> bool:
        if self._settings.component_conflict_resolve == "kick_old":
            return True
        if found.node == self._node.name:
            return self._node.registry.get(found.sid) is None
        return not components.is_alive(found.node)

    def _evict(self, claimed: Claimed) -> None:
        """Whoever had the session until now gets `conflict`."""
        sid, epoch = claimed.grip.sid, claimed.grip.epoch
        if claimed.former_node == self._node.name:
            former = self._node.registry.get(sid)
            if former is not None:
                former.lost()
        else:
            publish_conflict(self._node.mailbox.journal, claimed.former_node, sid, epoch)
