"""From a connection to a bound or resumed session: STARTTLS, SASL, resource binding, XEP-0198 resumption.

Which element may come when is a table; what is not in it is a stream error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Protocol

from gateway.limits.hits import Limit, Outcome
from gateway.limits.logins import FREE, Attempt
from gateway.limits.visit import Visit
from gateway.mailbox.errors import StoreError, StoreFull, StoreUnavailable
from gateway.mailbox.model import NotResumed, Resumed
from gateway.mailbox.notices import publish_conflict
from gateway.mailbox.settings import SmacksSettings
from gateway.sections import LimitSettings, ServerSettings
from gateway.session import registration, stream
from gateway.session.authentication import Authentication
from gateway.session.node import Node
from gateway.session.registration import Registration
from gateway.session.session import Pipe, Session
from gateway.session.smacks import KEEP_MARGIN_S, failed
from gateway.telemetry import get_logger
from gateway.xmpp import counter, ns
from gateway.xmpp.errors import (
    SaslCondition,
    SaslFailure,
    StanzaCondition,
    StanzaError,
    StreamCondition,
    StreamError,
    handled_count_too_high,
    memory_full,
    store_away,
)
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.reading import child_text
from gateway.xmpp.sasl import mechanisms
from gateway.xmpp.stanza import Element, error_reply, escape, iq_result

log = get_logger(__name__)

BACKWARDS = 2**31
"""an h so far "ahead" is one that lies behind: nothing that was acknowledged can be sent again"""


def _is_supported(version: str) -> bool:
    """RFC 6120 section 4.7.5: of two versions the lower one is spoken, and ours is 1.0. What came before has none."""
    major, dot, minor = version.partition(".")
    is_version = bool(dot) and f"{major}{minor}".isascii() and major.isdigit() and minor.isdigit()
    return is_version and major.strip("0") != ""


class Phase(Enum):
    """How far the client has come."""

    INSECURE = "insecure"
    SECURE = "secure"
    AUTHENTICATED = "authenticated"
    BOUND = "bound"


class Channel(Pipe, Protocol):
    """What negotiation needs of its connection beyond what a session does."""

    def start_tls(self) -> None:
        """Shake hands and expect a new stream inside."""

    def restart(self) -> None:
        """Expect a new stream header."""

    def raise_limits(self) -> None:
        """The client is known now."""

    @property
    def bindings(self) -> Mapping[str, bytes] | None:
        """The TLS channel's bindings, None without TLS."""

    @property
    def peer(self) -> str:
        """Who is at the other end: host:port."""

    @property
    def visit(self) -> Visit | None:
        """What limits the connection, None if nothing does."""


class Negotiation:
    """Leads one client to its session; `bound` gets it."""

    def __init__(self, node: Node, channel: Channel, *, bound: Callable[[Session], None]) -> None:
        self._node = node
        self._channel = channel
        self._bound = bound
        self._phase = Phase.INSECURE
        self._domain = ""
        self._jid: JID | None = None
        self._authentication: Authentication | None = None
        self._registration: Registration | None = None
        self._failures = 0

    TABLE: Mapping[tuple[Phase, str, str], str] = {
        (Phase.INSECURE, ns.STARTTLS, "starttls"): "_starttls",
        (Phase.SECURE, ns.SASL, "auth"): "_authenticate",
        (Phase.SECURE, ns.SASL, "response"): "_authenticate",
        (Phase.SECURE, ns.SASL, "abort"): "_authenticate",
        (Phase.SECURE, ns.CLIENT, "iq"): "_register",
        (Phase.AUTHENTICATED, ns.CLIENT, "iq"): "_bind",
        (Phase.AUTHENTICATED, ns.SM, "resume"): "_resume",
        (Phase.AUTHENTICATED, ns.SM, "enable"): "_too_early",
        (Phase.AUTHENTICATED, ns.SM, "r"): "_too_early",
        (Phase.AUTHENTICATED, ns.SM, "a"): "_too_early",
    }

    def opened(self, attrs: Mapping[str, str]) -> None:
        """The client sent a stream header: answer it with ours and what it may do now. Raises StreamError."""
        answer = self._header(attrs)
        try:
            self._check(attrs)
            answer += self._features()
        finally:
            self._channel.write(answer)  # the header at least, which has to come before an error

    def _check(self, attrs: Mapping[str, str]) -> None:
        if not _is_supported(attrs.get("version", "")):
            raise StreamError(StreamCondition.UNSUPPORTED_VERSION)
        to = attrs.get("to", "")
        if to and self._addressed(to) is None:
            raise StreamError(StreamCondition.HOST_UNKNOWN)
        if self._jid is not None and self._jid.domain != self._domain:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "authenticated for another domain")

    def answer_header(self, attrs: Mapping[str, str]) -> None:
        """Our stream header, which has to come before everything else, a stream error too."""
        self._channel.write(self._header(attrs))

    def _header(self, attrs: Mapping[str, str]) -> bytes:
        """Without `to` the client means the domain that it is authenticated for, or else the first one."""
        usual = self._jid.domain if self._jid is not None else self._node.settings.of(ServerSettings).domains[0]
        self._domain = self._addressed(attrs.get("to", "")) or usual
        return stream.header(domain=self._domain, stream_id=self._node.new_id(), to=attrs.get("from"))

    def _addressed(self, to: str) -> str | None:
        """The domain of ours that a header's `to` names."""
        try:
            domain = JID.parse(to).domain
        except JIDError:
            return None
        return domain if domain in self._node.domains else None

    def _features(self) -> bytes:
        limits = stream.limits(self._node.settings.of(LimitSettings), is_known=self._jid is not None)
        if self._jid is not None:
            self._phase = Phase.AUTHENTICATED
            return stream.features(stream.AFTER_AUTHENTICATION, self._node.features.stream_features, limits)
        bindings = self._channel.bindings
        required = self._node.tls_required
        if bindings is None and required:
            return stream.features(stream.starttls(required=True))
        offered = mechanisms.offered(tls=bindings is not None, tls_required=required, channel_bindings=bindings or {})
        self._authentication = Authentication(
            self._node,
            domain=self._domain,
            offered=offered,
            bindings=bindings or {},
            write=self._channel.write,
            attempt=self._attempt,
        )
        kinds = tuple(bindings or ())
        if bindings is None:
            return stream.features(stream.starttls(required=False), stream.mechanisms(offered, kinds), limits)
        self._phase = Phase.SECURE
        self._registration = Registration(
            self._node, domain=self._domain, peer=self._channel.peer, write=self._channel.write
        )
        return stream.features(stream.mechanisms(offered, kinds), registration.offered(self._node), limits)

    def receive(self, element: Element) -> None:
        """Take one element before there is a session. Raises StreamError."""
        phase = self._phase
        if phase is Phase.INSECURE and element.ns == ns.SASL and not self._node.tls_required:
            phase = Phase.SECURE
        step = self.TABLE.get((phase, element.ns, element.name))
        if step is None:
            if element.ns == ns.SASL and phase is Phase.INSECURE:
                self._channel.write(SaslFailure(SaslCondition.ENCRYPTION_REQUIRED).to_bytes())
                return
            known = element.is_stanza or element.ns in (ns.SASL, ns.STARTTLS, ns.SM)
            raise StreamError(StreamCondition.NOT_AUTHORIZED if known else StreamCondition.UNSUPPORTED_STANZA_TYPE)
        getattr(self, step)(element)

    def _starttls(self, element: Element) -> None:
        if self._node.tls_context is None:
            self._channel.write(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            raise StreamError(StreamCondition.UNSUPPORTED_FEATURE)
        self._channel.write(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        self._channel.start_tls()

    def _authenticate(self, element: Element) -> None:
        if self._authentication is None:
            raise StreamError(StreamCondition.NOT_AUTHORIZED)
        try:
            jid = self._authentication.receive(element)
        except SaslFailure as failure:
            self._failures += 1
            log.info("authentication_failed", condition=str(failure.condition))
            self._channel.write(failure.to_bytes())
            if self._failures >= self._node.settings.of(LimitSettings).max_auth_failures:
                self._hit(Limit.AUTH_FAILURES, Outcome.CLOSED)
                raise StreamError(StreamCondition.POLICY_VIOLATION, "too many failed tries") from failure
            return
        if jid is not None:
            self._jid = jid
            if self._channel.visit is not None:
                self._channel.visit.authenticated(str(jid))
            self._channel.raise_limits()
            self._channel.restart()

    def _attempt(self, account: str) -> Attempt:
        """A try to log in begins; waits. Raises TooManyTries."""
        visit = self._channel.visit
        return visit.attempt(account) if visit is not None else FREE

    def _hit(self, limit: Limit, outcome: Outcome) -> None:
        if self._channel.visit is not None:
            self._channel.visit.hit(limit, outcome)

    def _register(self, element: Element) -> None:
        """XEP-0077 section 3.1.1. What nobody may do here is as any other stanza before authentication."""
        known = self._registration
        if known is None or not known.takes(element) or not registration.offered(self._node):
            raise StreamError(StreamCondition.NOT_AUTHORIZED)
        if not known.receive(element):
            self._failures += 1
            if self._failures >= self._node.settings.of(LimitSettings).max_auth_failures:
                self._hit(Limit.AUTH_FAILURES, Outcome.CLOSED)
                raise StreamError(StreamCondition.POLICY_VIOLATION, "too many failed tries")

    def _too_early(self, element: Element) -> None:
        self._channel.write(failed(StanzaCondition.UNEXPECTED_REQUEST))

    def _bind(self, element: Element) -> None:
        """RFC 6120 section 7."""
        try:
            session = self._bind_resource(element)
        except StanzaError as error:
            self._channel.write(error_reply(element, error, to=None, from_=None))
            return
        except StoreFull:
            self._channel.write(error_reply(element, memory_full(), to=None, from_=None))
            return
        except StoreError:
            refusal = StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR, "try again later")
            self._channel.write(error_reply(element, refusal, to=None, from_=None))
            return
        payload = f"<bind xmlns='{ns.BIND}'><jid>{escape(str(session.jid))}</jid></bind>".encode()
        self._channel.write(iq_result(element, payload, to=None, from_=None))
        self._start(session)

    def _bind_resource(self, element: Element) -> Session:
        account = self._authenticated()
        if element.attrs.get("type") != "set" or not element.attrs.get("id") or not element.has(ns.BIND, "bind"):
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "bind a resource first")
        wanted = child_text(element, (ns.BIND, "bind"), (ns.BIND, "resource"))
        try:
            jid = account.with_resource(wanted or self._node.new_id())
        except JIDError as error:
            raise StanzaError(StanzaCondition.BAD_REQUEST, str(error)) from error
        if self._channel.visit is not None and not self._channel.visit.may_bind():
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "the server is busy, try again later")
        sid = self._node.new_id()
        bound = self._node.mailbox.bind(
            user=str(account),
            resource=jid.resource,
            sid=sid,
            owner=f"{self._node.name}/{sid}",
            jid_xml=escape(str(jid)),
            user_xml=escape(str(account)),
        )
        if isinstance(bound, str):
            if bound == "too-many":
                self._hit(Limit.SESSIONS_PER_ACCOUNT, Outcome.REFUSED)
                raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "this account has too many sessions")
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "the account is gone")
        self._evict(bound.replaced, bound.replaced_node, 0)
        self._node.router.announce(bound.placed)
        return Session(node=self._node, pipe=self._channel, jid=jid, grip=bound.grip, started_ms=bound.at_ms)

    def _evict(self, sid: str, owner: str, epoch: int) -> None:
        """Whoever had the session's socket until now gets `conflict`."""
        if owner == self._node.name:
            former = self._node.registry.get(sid)
            if former is not None:
                former.lost()
        elif owner:
            publish_conflict(self._node.mailbox.journal, owner, sid, epoch)

    def _resume(self, element: Element) -> None:
        """XEP-0198 section 5."""
        account = self._authenticated()
        sid, h_text = element.attrs.get("previd"), element.attrs.get("h")
        if sid is None or h_text is None:
            self._channel.write(failed(StanzaCondition.BAD_REQUEST))
            return
        h = counter.parse_h(h_text)
        owner = f"{self._node.name}/{self._node.new_id()}"
        try:
            outcome = self._node.mailbox.resume(user=str(account), sid=sid, h=h, owner=owner)
        except StoreUnavailable as away:  # not <failed/>: a client that gets that forgets the session
            raise store_away() from away
        except StoreError:
            self._channel.write(failed(StanzaCondition.INTERNAL_SERVER_ERROR))
            return
        if isinstance(outcome, NotResumed):
            if outcome.tail is not None and counter.distance(h, outcome.tail) < BACKWARDS:
                raise handled_count_too_high(h, outcome.tail)
            self._channel.write(failed(StanzaCondition.ITEM_NOT_FOUND, outcome.h))
            return
        self._evict(sid, outcome.former_node, outcome.grip.epoch)
        session = self._resumed(account, outcome)
        known = f"<resumed xmlns='{ns.SM}' previd='{escape(sid)}' h='{counter.wire(outcome.inbound)}'/>"
        self._channel.write(known.encode())
        self._start(session)
        session.cursor.look()
        log.info("session_resumed", session=sid, jid=str(session.jid), waiting=outcome.tail - outcome.acked)

    def _resumed(self, account: JID, outcome: Resumed) -> Session:
        session = Session(
            node=self._node,
            pipe=self._channel,
            jid=account.with_resource(outcome.resource),
            grip=outcome.grip,
            started_ms=outcome.at_ms,
            acked=outcome.acked,
            tail=outcome.tail,
            inbound=outcome.inbound,
        )
        ceiling_s = self._node.settings.of(SmacksSettings).smacks_max_hibernation_time
        session.resume_counting(base=outcome.base, keep_ms=(ceiling_s + KEEP_MARGIN_S) * 1000)
        return session

    def _start(self, session: Session) -> None:
        self._phase = Phase.BOUND
        self._node.registry.add(session)
        self._bound(session)

    def _authenticated(self) -> JID:
        if self._jid is None:
            raise StreamError(StreamCondition.NOT_AUTHORIZED)
        return self._jid
