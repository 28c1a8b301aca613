"""How features meet the server: one `Feature` value per module, and every hook as a dataclass whose docstring is its
contract.

A feature declares; it registers nothing by hand and so cannot forget to unregister. Iq payloads are no hooks: exactly
one handler may own
one, in `iq_get` or `iq_set`. What concerns streams (SASL, binding, XEP-0198) is negotiation and lives in `session/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol, TypeVar

from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Grip
from gateway.settings import Settings
from gateway.xmpp.jid import JID
from gateway.xmpp.stanza import Element

H = TypeVar("H")


class Phase(IntEnum):
    """The order of handlers of one hook. Inside a phase the order is undefined on purpose."""

    GUARD = 1
    """may refuse; fails closed: if it raises by mistake, the sender gets internal-server-error"""
    REWRITE = 2
    """may replace"""
    COPY = 3
    """fans out"""
    ACT = 4
    """one answers"""
    OBSERVE = 5
    """result ignored"""


@dataclass(frozen=True, slots=True)
class Xep:
    """A standard and the version of it that was implemented."""

    number: int
    version: str


class SessionView(Protocol):
    """What a feature may see of a session. It never touches a socket or a queue."""

    @property
    def jid(self) -> JID:
        """The full JID."""

    @property
    def grip(self) -> Grip:
        """The session as the mailbox knows it."""


class Services(Protocol):
    """What features may use of the process they run in."""

    @property
    def mailbox(self) -> Mailbox:
        """Operations on mailboxes."""

    @property
    def settings(self) -> Settings:
        """The frozen configuration."""

    @property
    def features(self) -> Features:
        """All features, for those that tell about the others."""


@dataclass(frozen=True, slots=True)
class Query:
    """An iq request to this server: who asks, what, and whom (the server's own JID, or the asker's account)."""

    session: SessionView
    iq: Element
    to: JID
    services: Services
    reply: Callable[[bytes], None]
    """answer with the result's payload (b"" = none); may be called later, exactly once"""
    fail: Callable[[Exception], None]
    """answer with a StanzaError later; a handler that knows at once raises it"""


Handler = Callable[[Query], None]


@dataclass(slots=True)
class StanzaTraits:
    """Computed once per message before its mailbox operation, from the stanza alone. Collect hook: set what you know.

    `store`: may wait in offline storage. `wakes`: worth waking a phone for. `urgent`: a call. `bounces`: its sender
    may get an error.
    """

    stanza: Element
    settings: Settings
    store: bool = False
    wakes: bool = False
    urgent: bool = False
    bounces: bool = True


@dataclass(slots=True)
class DiscoInfo:
    """disco#info was asked of `to`: this server, a feature's host (`is_host`), or the asker's account. Collect hook:
    add what is there.
    """

    to: JID
    is_account: bool
    is_host: bool
    services: Services
    identities: list[tuple[str, str, str]] = field(default_factory=list)
    """(category, type, name)"""
    features: set[str] = field(default_factory=set)


@dataclass(slots=True)
class DiscoItems:
    """disco#items was asked of this server. Collect hook: add (jid, name)."""

    to: JID
    services: Services
    items: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class On:
    """A handler of a hook. `hook` is the dataclass it wants."""

    hook: type
    handler: Callable[[Any], None]
    phase: Phase = Phase.ACT


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature, one module: everything the server has to know of it.

    `disco`: feature names on the server's JID; `account_disco`: on users' bare JIDs. `iq_get` and `iq_set`:
    (namespace, element) of the
    payload -> handler. `hosts`: subdomains whose JIDs belong to this feature.
    """

    name: str
    xep: Xep | None = None
    disco: tuple[str, ...] = ()
    account_disco: tuple[str, ...] = ()
    iq_get: Mapping[tuple[str, str], Handler] = field(default_factory=dict)
    iq_set: Mapping[tuple[str, str], Handler] = field(default_factory=dict)
    hooks: tuple[On, ...] = ()
    hosts: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


class FeatureClash(ValueError):
    """Two features claim one iq payload, or a required feature is not there: a fault in the composition, found at the
    start.
    """


class Features:
    """The features of a process, with their handlers in order. Built once, at the start; raises FeatureClash."""

    def __init__(self, features: tuple[Feature, ...]) -> None:
        self.all = features
        names = {feature.name for feature in features}
        self.iq: dict[tuple[str, str, str], Handler] = {}
        self.hosts: set[str] = set()
        handlers: dict[type, list[On]] = {}
        for feature in features:
            for needed in feature.requires:
                if needed not in names:
                    raise FeatureClash(f"{feature.name} needs {needed}")
            for type_, table in (("get", feature.iq_get), ("set", feature.iq_set)):
                for payload, handler in table.items():
                    if (type_, *payload) in self.iq:
                        raise FeatureClash(f"{feature.name} claims iq {type_} {payload}, which is taken")
                    self.iq[(type_, *payload)] = handler
            self.hosts.update(feature.hosts)
            for on in feature.hooks:
                handlers.setdefault(on.hook, []).append(on)
        self._handlers = {
            hook: [on.handler for on in sorted(ons, key=lambda on: on.phase)] for hook, ons in handlers.items()
        }

    def fire(self, event: H) -> H:
        """Hand `event` to every handler of its hook, in order of phase; answers the event as they left it."""
        for handler in self._handlers.get(type(event), ()):
            handler(event)
        return event
