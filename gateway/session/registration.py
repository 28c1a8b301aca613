"""XEP-0077 and XEP-0445 before authentication: somebody makes an account, over TLS, if the configuration lets them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, Final

from gateway.enrolment import RegistrationSettings, check_password, new_account, stored
from gateway.limits.hits import Limit, Outcome, process_hits
from gateway.mailbox.errors import StoreError, StoreFull
from gateway.mailbox.invites import Enrolled, Invite, Invites
from gateway.mailbox.rosters import RosterSettings
from gateway.mailbox.subscriptions import BlockedByYou, RosterFull, Subscriptions, plain
from gateway.session.node import Node
from gateway.telemetry import get_logger
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError, memory_full
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID
from gateway.xmpp.payload import several
from gateway.xmpp.stanza import Element, error_reply, iq_result

log = get_logger(__name__)

PAYLOADS: Final = frozenset(
    {("get", ns.REGISTER, "query"), ("set", ns.REGISTER, "query"), ("set", ns.PREAUTH, "preauth")}
)


def is_open(node: Node) -> bool:
    """Anybody may make an account."""
    return _has(node, "registration") and node.settings.of(RegistrationSettings).open


def is_by_invitation(node: Node) -> bool:
    """Invitations are taken."""
    return _has(node, "invites") and node.settings.of(RegistrationSettings).invites != "nobody"


def _has(node: Node, name: str) -> bool:
    return name in node.features.names


def offered(node: Node) -> str:
    """What stands in <stream:features/>, "" if nobody can make an account."""
    by_invitation = is_by_invitation(node)
    text = f"<register xmlns='{ns.REGISTER_FEATURE}'/>" if by_invitation or is_open(node) else ""
    # COMPAT(XEP-0401 before 0.5): the older name of the same feature
    return text + (f"<register xmlns='{ns.IBR_TOKEN}'/><register xmlns='{ns.INVITE}'/>" if by_invitation else "")


class Registration:
    """What one unknown client does about an account on `domain`; `write` sends to it. Refused tries are counted by the
    caller.
    """

    def __init__(self, node: Node, *, domain: str, peer: str, write: Callable[[bytes], None]) -> None:
        self._node = node
        self._domain = domain
        self._peer = peer
        self._write = write
        self._token = ""
        self._invite: Invite | None = None
        self._account: JID | None = None

    @staticmethod
    def takes(element: Element) -> bool:
        """It is a request about registration."""
        return len(element.children) == 1 and (element.attrs.get("type"), *element.children[0]) in PAYLOADS

    def receive(self, element: Element) -> bool:
        """Answer a request. Answers whether it was granted."""
        try:
            payload = self._serve(element)
        except StanzaError as error:
            log.info("registration_refused", condition=str(error.condition), peer=self._peer)
            self._write(error_reply(element, error, to=None, from_=None))
            return False
        except StoreFull:
            self._write(error_reply(element, memory_full(), to=None, from_=None))
            return False
        except StoreError:
            refusal = StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR, "try again later")
            self._write(error_reply(element, refusal, to=None, from_=None))
            return False
        self._write(iq_result(element, payload, to=None, from_=None))
        return True

    def _serve(self, element: Element) -> bytes:
        if not element.attrs.get("id"):
            raise StanzaError(StanzaCondition.BAD_REQUEST, "an iq needs an id")
        if element.attrs.get("to", self._domain) != self._domain:
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        if element.has(ns.PREAUTH):
            self._show(element)
            return b""
        if self._invite is None and not is_open(self._node):
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "accounts are made by invitation only")
        if element.attrs["type"] == "get":
            return self._fields()
        self._register(element)
        return b""

    def _show(self, element: Element) -> None:
        """XEP-0445 section 4: the token's expiry is looked at here and never again."""
        payload: Any = next(iter(element.payload().values()))[f"{ns.PREAUTH}|preauth"]
        token = payload.get("@token", "") if isinstance(payload, dict) else ""
        if not token:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "the attribute token is needed")
        invite = Invites(self._node.mailbox.journal).look(token) if is_by_invitation(self._node) else None
        if invite is None or (invite.name and JID.parse(invite.name).domain != self._domain):
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "this invitation is unknown, used or expired")
        self._token, self._invite = token, invite

    def _fields(self) -> bytes:
        """XEP-0077 section 3.1: what to send."""
        name = JID.parse(self._invite.name).local if self._invite is not None and self._invite.name else ""
        username = f"<username>{escape(name)}</username>" if name else "<username/>"
        return (
            f"<query xmlns='{ns.REGISTER}'><instructions>Choose a user name and a password.</instructions>"
            f"{username}<password/></query>"
        ).encode()

    def _register(self, element: Element) -> None:
        settings = self._node.settings
        limits = settings.of(RegistrationSettings)
        if self._account is not None:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "there is an account now: log in")
        payload = next(iter(element.payload().values()))[f"{ns.REGISTER}|query"]
        username, password = _text(payload, "username"), _text(payload, "password")
        jid = new_account(username, self._domain, settings)
        if self._invite is not None and self._invite.name not in ("", str(jid)):
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "the invitation is for another user name")
        check_password(password, settings)
        invites = Invites(self._node.mailbox.journal)
        address = _address(self._peer)
        if not invites.admit(address, most_of_address=limits.tries_per_address, most=limits.tries):
            process_hits().count(Limit.REGISTRATIONS, Outcome.REFUSED, address)
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "too many registrations, try again later")
        outcome = invites.enroll(str(jid), stored(password).to_fields(), self._token)
        if outcome is Enrolled.CONFLICT:
            raise StanzaError(StanzaCondition.CONFLICT, "this user name is taken")
        if outcome is Enrolled.NOT_INVITED:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "this invitation has been used")
        self._account = jid
        if self._invite is not None and self._invite.is_contact:
            self._befriend(self._invite.inviter, str(jid))
        log.info("account_registered", user=str(jid), address=address, invited=self._invite is not None)

    def _befriend(self, inviter: str, guest: str) -> None:
        """Both subscribe to each other and agree, as their clients would. What fails, they can still do themselves."""
        if not inviter or not _has(self._node, "presence"):
            return
        subscriptions = Subscriptions(self._node.mailbox, self._node.router.announce)
        most = self._node.settings.of(RosterSettings).max_items
        steps = ((inviter, guest, "subscribe"), (guest, inviter, "subscribed"))
        try:
            for user, contact, type_ in (*steps, (guest, inviter, "subscribe"), (inviter, guest, "subscribed")):
                stanza = plain(user, contact, type_)
                subscriptions.send(user=user, contact=contact, type_=type_, stanza=stanza, most_items=most)
        except (RosterFull, BlockedByYou, StoreError) as error:
            log.warning("contact_not_made", user=guest, contact=inviter, error=type(error).__name__)


def _text(payload: Any, name: str) -> str:
    """XEP-0077 section 3.1: what is missing or empty is not acceptable."""
    found = several(payload, f"{ns.REGISTER}|{name}")
    if len(found) != 1 or not isinstance(found[0], str) or not found[0]:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"one <{name}/> with a text is needed")
    return found[0]


def _address(peer: str) -> str:
    """Whom a limit counts: an IPv4 address, or the /64 in which an IPv6 address can be chosen at will."""
    host = peer.rpartition(":")[0].strip("[]") or peer
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped) if mapped is not None else str(ipaddress.ip_network((address, 64), strict=False))
