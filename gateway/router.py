"""Where a stanza goes: a mailbox, this server, or nowhere (RFC 6120 section 10, RFC 6121 section 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from gateway.composition import Features
from gateway.features import presence
from gateway.hooks import Handler, Query, Reply, SessionView, StanzaReceived, StanzaTraits
from gateway.limits.quota import counted
from gateway.mailbox import entry
from gateway.mailbox.errors import StoreError, StoreFull, StoreUnavailable
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Delivery, Origin, Placed, Status
from gateway.mailbox.notices import publish_entries
from gateway.mailbox.transfers import REFUSED
from gateway.settings import Settings
from gateway.telemetry import get_logger
from gateway.xmpp.errors import StanzaCondition, StanzaError, blocked_by_you, memory_full
from gateway.xmpp.jid import JID
from gateway.xmpp.stanza import Element, end_tag_at, error_reply, iq_result, is_answerable, with_stanza_id

log = get_logger(__name__)

COMPONENT_AWAY = StanzaError(StanzaCondition.REMOTE_SERVER_TIMEOUT, "the component is away, or does not keep up")

SHAPES, LONGEST_SHAPE = 1000, 500
"""shapes of messages whose traits are remembered, and characters of such a one at most: what strangers make us keep"""

MESSAGE_TYPES = frozenset({"chat", "normal", "groupchat", "headline", "error"})

SUBSCRIPTIONS = frozenset({"subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"})

PRESENCE_TYPES = SUBSCRIPTIONS | {None, "unavailable", "error"}

IQ_TYPES = frozenset({"get", "set", "result", "error"})


class Inbound(Protocol):
    """One stanza on its way in. It gets exactly one outcome, in whatever order stanzas finish: `reply`, `answered` or
    `settled`.
    """

    @property
    def session(self) -> SessionView:
        """Who sent it."""

    @property
    def origin(self) -> Origin:
        """Session and count, by which a mailbox knows it again."""

    def reply(self, kind: str, stanza: bytes) -> None:
        """The outcome is a stanza for its sender, of this kind (see `mailbox.entry`)."""

    def answered(self, position: int, stanza: bytes) -> None:
        """The outcome is a stanza that is in the sender's queue already (0: it waits; -1: it did not fit)."""

    def settled(self) -> None:
        """The outcome needs no answer."""

    @property
    def may_be_taken(self) -> bool:
        """No earlier one waits for the error that says that there was no room for it. A mailbox knows of a sender only
        the highest count that it has taken: if it took this one now, it would never take that one.
        """

    def had_no_room(self) -> None:
        """The store is full; said before the outcome."""

    def kept(self) -> None:
        """The mailbox has the stanza's count already; said before the outcome."""

    def fenced(self) -> None:
        """Another connection has the sender's session: nothing was done, it will come again there."""


def flags_of(traits: StanzaTraits) -> str:
    """A message's traits as an entry's flags."""
    return (
        (entry.STORE if traits.store else "")
        + (entry.WAKES if traits.wakes else "")
        + (entry.URGENT if traits.urgent else "")
        + (entry.BOUNCES if traits.bounces else "")
        + (entry.CARBON if traits.carbon else "")
        + (entry.ARCHIVE if traits.archive else "")
        + (entry.HOLD if traits.hold else "")
        + (entry.DISPLAYED if traits.displayed else "")
        + (entry.UNCOUNTED if traits.uncounted else "")
        + (entry.ENDS_CALL if traits.ends_call else "")
    )


class Router:
    """Routes the stanzas of this process' sessions.

    `placed` tells a session of this node that its queue has grown; `recheck` has an account's sessions look at their
    queues.
    """

    def __init__(
        self,
        *,
        node: str,
        domains: frozenset[str],
        mailbox: Mailbox,
        features: Features,
        settings: Settings,
        placed: Callable[[Placed, bytes], None],
        recheck: Callable[[str], None],
        components: frozenset[str] = frozenset(),
    ) -> None:
        self._node = node
        self._domains = domains
        self._components = components
        self._hosts = frozenset(f"{host}.{domain}" for host in features.hosts for domain in domains)
        self.mailbox = mailbox
        self.features = features
        self.settings = settings
        self._placed = placed
        self._recheck = recheck
        self._flags: dict[tuple[str | None, tuple[tuple[str, str], ...]], str] = {}
        self._has_subscriptions = presence.NAME in features.names

    def route(self, element: Element, to: JID | None, inbound: Inbound) -> None:
        """Send a stanza whose `from` is its sender's full JID on its way. Raises StanzaError for an answer at once.

        `to` None is the sender's own account (RFC 6120 section 10.3).
        """
        if self.features.heeds(element):
            element = self.features.fire(StanzaReceived(inbound.session, element, to, self)).element
        if element.name == "iq":
            self._route_iq(element, to or inbound.session.jid.bare, to is None, inbound)
        elif element.name == "message":
            self._route_message(element, to or inbound.session.jid.bare, inbound)
        else:
            self._route_presence(element, to, inbound)

    def announce(self, placed: Iterable[Placed], stanza: bytes = b"") -> None:
        """See `hooks.Services`."""
        for each in placed:
            if each.node == self._node:
                self._placed(each, stanza)
            else:
                publish_entries(self.mailbox.journal, (each,), stanza)

    def is_local(self, to: JID) -> bool:
        """The domain is served here."""
        return to.domain in self._domains

    def is_component(self, to: JID) -> bool:
        """The domain is an external component's (XEP-0114): every address there is for the component to answer."""
        return to.domain in self._components

    def _mailbox_of(self, to: JID) -> None:
        if self.is_component(to):
            return
        if to.domain not in self._domains and to.domain not in self._hosts:
            raise StanzaError(
                StanzaCondition.REMOTE_SERVER_NOT_FOUND, "this server has no connections to other servers"
            )
        if not to.local:
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)

    def _route_message(self, element: Element, to: JID, inbound: Inbound) -> None:
        kind = element.attrs.get("type", "normal")
        if kind not in MESSAGE_TYPES:
            kind = "normal"  # RFC 6121 section 5.2.2: an unknown type is treated as normal
        if not to.local and kind == "error" and not self.is_component(to):
            inbound.settled()
            return
        self._mailbox_of(to)
        self._deliver(element, to, entry.MESSAGE, kind, self._flags_for(element, kind), inbound)

    def _flags_for(self, element: Element, kind: str) -> str:
        """A message's traits as an entry's flags. Most messages are of a few shapes, so they are computed once."""
        shape = (element.attrs.get("type"), element.children)
        flags = self._flags.get(shape)
        if flags is None:
            traits = self.features.fire(StanzaTraits(element, self.settings, bounces=kind != "error"))
            flags = flags_of(traits)
            length = sum(len(namespace) + len(name) for namespace, name in element.children)
            if traits.is_typical and length <= LONGEST_SHAPE and (shape[0] is None or shape[0] in MESSAGE_TYPES):
                if len(self._flags) >= SHAPES:
                    self._flags.clear()
                self._flags[shape] = flags
        return flags

    def _route_presence(self, element: Element, to: JID | None, inbound: Inbound) -> None:
        type_ = element.attrs.get("type")
        if type_ not in PRESENCE_TYPES:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "there is no such type of presence")
        if to is None:
            raise StanzaError(StanzaCondition.BAD_REQUEST, f"presence of type {type_} is sent to somebody")
        is_component = self.is_component(to)
        if type_ in SUBSCRIPTIONS and not (is_component and type_ == "probe"):
            self._mailbox_of(to)
            if not self._has_subscriptions:
                raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
            if type_ == "probe":
                presence.probe(inbound.session, to, self, inbound.settled)
            else:
                presence.subscribe(inbound.session, element, to, self)
                inbound.settled()
            return
        if not is_component and not (self.is_local(to) and to.local):
            inbound.settled()
            return
        if type_ in (None, "unavailable") and not self.is_component(inbound.session.jid):
            presence.directed(inbound.session, to, self, is_available=type_ is None)
        bounces = entry.BOUNCES if is_component and type_ is None else ""
        self._deliver(element, to, entry.PRESENCE, "", bounces, inbound)

    def _route_iq(self, element: Element, to: JID, is_implied: bool, inbound: Inbound) -> None:
        type_ = element.attrs.get("type")
        if type_ not in IQ_TYPES or not element.attrs.get("id"):
            raise StanzaError(
                StanzaCondition.BAD_REQUEST, "an iq needs an id and one of the types get, set, result, error"
            )
        is_request = type_ in ("get", "set")
        if is_request and len(element.children) != 1:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "an iq request has exactly one payload")
        if (to.local and to.resource) or self.is_component(to):
            self._mailbox_of(to)
            kind = entry.IQ_REQUEST if is_request else entry.IQ_RESPONSE
            self._deliver(element, to, kind, "", entry.BOUNCES if is_request else "", inbound)
        elif not is_request:
            prefix, colon, _ = element.attrs["id"].partition(":")
            answered = self.features.replies.get(prefix) if colon else None
            if answered is not None and (not to.local or to == inbound.session.jid.bare):
                answered(Reply(inbound.session, element, self))
            inbound.settled()
        else:
            self._serve(element, to, type_ or "", is_implied, inbound)

    def _serve(self, element: Element, to: JID, type_: str, is_implied: bool, inbound: Inbound) -> None:
        if not to.local and to.domain not in self._domains and to.domain not in self._hosts:
            raise StanzaError(
                StanzaCondition.REMOTE_SERVER_NOT_FOUND, "this server has no connections to other servers"
            )
        asked = (type_, *element.children[0])
        handler: Handler | None = self.features.iq.get(asked)
        if to.local and to != inbound.session.jid.bare and (asked not in self.features.open or not self.is_local(to)):
            handler = None
        if handler is None:
            # Nobody learns from the answer whether somebody else's account exists (RFC 6121 section 8.5.1).
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        sender = inbound.session.jid

        def reply(payload: bytes) -> None:
            answer = iq_result(element, payload, to=str(sender), from_=None if is_implied else str(to))
            inbound.reply(entry.IQ_RESPONSE, answer)

        def fail(error: Exception) -> None:
            inbound.reply(
                entry.IQ_RESPONSE, error_reply(element, self.as_stanza_error(error), to=str(sender), from_=str(to))
            )

        handler(Query(session=inbound.session, iq=element, to=to, services=self, reply=reply, fail=fail))

    @staticmethod
    def as_stanza_error(error: Exception) -> StanzaError:
        """What a failed handler tells the sender."""
        if isinstance(error, StanzaError):
            return counted(error)
        if isinstance(error, StoreFull):
            return memory_full()
        if isinstance(error, StoreError):
            return StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR, "the store refused")
        return StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR)

    def _deliver(self, element: Element, to: JID, kind: str, type_: str, flags: str, inbound: Inbound) -> None:
        sender = str(inbound.session.jid)
        stanza = element.retagged({"from": sender, "to": str(to)})
        user = str(to.bare)
        split = end_tag_at(stanza) if entry.ARCHIVE in flags else 0

        def error_of(outcome: Status | StoreError) -> bytes | None:
            """What the sender is told of a refusal; None: nothing."""
            if outcome is Status.BLOCKED_BY_YOU:
                told, error = is_answerable(element.name, element.attrs.get("type")), blocked_by_you()
            elif isinstance(outcome, StoreError):
                told, error = entry.BOUNCES in flags, self.as_stanza_error(outcome)
            else:
                away = COMPONENT_AWAY if self.is_component(to) else StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
                told, error = entry.BOUNCES in flags, away
            return error_reply(element, error, to=sender, from_=str(to)) if told else None

        def refuse(outcome: Status | StoreError, answered: int | None) -> None:
            error = error_of(outcome)
            if error is None:
                inbound.settled()
            elif answered is None:
                inbound.reply(kind, error)
            else:
                inbound.answered(answered, error)

        def done(outcome: Delivery | StoreError) -> None:
            if isinstance(outcome, StoreUnavailable):
                return  # the process is going down; the sender was told nothing and will send it again
            if isinstance(outcome, StoreError):
                if isinstance(outcome, StoreFull):
                    inbound.had_no_room()
                refuse(outcome, None)
                return
            if outcome.status is Status.STALE:
                inbound.fenced()
                return
            if outcome.is_kept:
                inbound.kept()
            if outcome.placed:
                taken = stanza
                if outcome.archive_id:
                    taken = with_stanza_id(stanza, split, user, outcome.archive_id)
                self.announce(outcome.placed, taken)
            if outcome.copies:
                self.announce(outcome.copies)
            if outcome.status in REFUSED or outcome.status is Status.BLOCKED_BY_YOU:
                refuse(outcome.status, outcome.answered)
                return
            if outcome.status is Status.DUPLICATE:
                self._recheck(to.domain if self.is_component(to) else user)
            inbound.settled()

        if not inbound.may_be_taken:
            done(StoreFull("an earlier stanza of this sender had no room"))
            return
        self.mailbox.deliver(
            user=user,
            resource=to.resource,
            sender=sender,
            origin=inbound.origin,
            kind=kind,
            type=type_,
            flags=flags,
            stanza=stanza,
            split=split,
            done=done,
            error_of=error_of,
            copied=self.announce,
        )
