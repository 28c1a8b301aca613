"""How features meet the server: one `Feature` value per module, and every hook as a dataclass whose docstring is its
contract.

A feature declares; it registers nothing by hand and so cannot forget to unregister. Iq payloads are no hooks: exactly
one handler may own
one, in `iq_get` or `iq_set`. What concerns streams (SASL, binding, XEP-0198) is negotiation and lives in `session/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

from gateway.adhoc import Command
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Grip, Placed
from gateway.settings import Settings
from gateway.xmpp.jid import JID
from gateway.xmpp.stanza import Element
from gateway.xmpp.vcard import Photo

if TYPE_CHECKING:
    from gateway.composition import Features


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

    def rest(self, is_inactive: bool) -> None:
        """The client's state (XEP-0352): an inactive one is written to only when something urgent came."""


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

    def announce(self, placed: Iterable[Placed], stanza: bytes = b"") -> None:
        """Tell the owners of sessions, here and elsewhere, that their queues have grown; `stanza`, if all got the same,
        spares them a look. Never blocks.
        """


@dataclass(frozen=True, slots=True)
class Query:
    """An iq request to this server: who asks, what, and whom (the server's own JID, a feature's host, the asker's
    account, or for what `Feature.open` names any account here).

    Its handler runs in the greenlet of the asker's connection, so it may wait for the store.
    """

    session: SessionView
    iq: Element
    to: JID
    services: Services
    reply: Callable[[bytes], None]
    """answer with the result's payload (b"" = none); may be called later, exactly once"""
    fail: Callable[[Exception], None]
    """answer with a StanzaError later; a handler that knows at once raises it"""

    @property
    def asker(self) -> JID:
        """The full JID of who asks."""
        return self.session.jid

    @property
    def is_own(self) -> bool:
        """It is the asker's own account that is asked."""
        return self.to == self.asker.bare


Handler = Callable[[Query], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """The result, or the error, of a request that this server sent to a client: it is addressed to the server or to
    the client's own account, and its id begins with the prefix under which a feature asked for it.
    """

    session: SessionView
    iq: Element
    services: Services


@dataclass(slots=True)
class StanzaReceived:
    """A client sent a stanza that is about to be routed. Chain: GUARD may raise StanzaError, REWRITE may replace
    `element`. `to` None is the sender's own account. Fired for every stanza: look at `element.children` first.
    """

    session: SessionView
    element: Element
    to: JID | None
    services: Services


@dataclass(slots=True)
class PresenceSending:
    """A session's own presence (type none or unavailable, without `to`) is about to be broadcast. REWRITE may replace
    `element`; `priority` None is unavailable.
    """

    session: SessionView
    element: Element
    priority: int | None
    services: Services


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """The mailbox has a session's new presence; priorities are None when unavailable. Notify; runs in a journal's
    callback, so it must not block.
    """

    session: SessionView
    element: Element
    former: int | None
    priority: int | None
    services: Services


@dataclass(slots=True)
class StanzaTraits:
    """Computed once per message before its mailbox operation, from the stanza alone. Collect hook: set what you know.

    `store`: may wait in offline storage. `wakes`: worth waking a phone for. `urgent`: a call. `bounces`: its sender
    may get an error. `carbon`: other devices get a copy. `archive`: kept in the archives. `hold`: may wait while a
    client is inactive. `displayed`: its sender has seen the conversation. `uncounted`: nobody has to read it, although
    it wakes. `ends_call`: it may end a call.

    Most messages are of few shapes, and what a shape means is remembered: the stanza's type with its children's names.
    Who looks at anything else in it says `is_typical = False`.
    """

    stanza: Element
    settings: Settings
    store: bool = False
    wakes: bool = False
    urgent: bool = False
    bounces: bool = True
    carbon: bool = False
    archive: bool = False
    hold: bool = False
    displayed: bool = False
    uncounted: bool = False
    ends_call: bool = False
    is_typical: bool = True


@dataclass(slots=True)
class DiscoInfo:
    """disco#info was asked of `to`: this server, a feature's host (`is_host`), or an account (the asker's own, or one
    that the asker may see). Collect hook: add what is there. With a `node`, whoever knows it sets `is_known`; the
    features' declarations are then left out.
    """

    to: JID
    is_account: bool
    is_host: bool
    services: Services
    asker: JID
    node: str = ""
    is_known: bool = False
    identities: list[tuple[str, str, str]] = field(default_factory=list)
    """(category, type, name)"""
    features: set[str] = field(default_factory=set)
    forms: list[bytes] = field(default_factory=list)
    """XEP-0128: data forms of type result"""


@dataclass(slots=True)
class DiscoItems:
    """disco#items was asked, of whom and with what `node` as in DiscoInfo. Collect hook: add (jid, name, node)."""

    to: JID
    services: Services
    asker: JID
    node: str = ""
    is_known: bool = False
    items: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SubscriptionSent:
    """A client asked for a presence subscription, or answered (RFC 6121 section 3), and both mailboxes know it. `type`:
    subscribe, subscribed, unsubscribe, unsubscribed. Notify; runs in the client's greenlet, so it may wait for the
    store.
    """

    owner: JID
    contact: JID
    type: str
    services: Services


@dataclass(frozen=True, slots=True)
class Published:
    """A client published to a node of its own account, or retracted from one (XEP-0060), and everybody who is to be
    told of it is being told. Notify; runs in the client's greenlet, so it may wait for the store. What features publish
    themselves, with `gateway.mailbox.pubsubs`, is not told here.
    """

    owner: JID
    node: str
    services: Services
    session: SessionView
    items: tuple[tuple[str, bytes], ...] = ()
    """(id, payload), each payload an element that stands by itself"""
    retracted: tuple[str, ...] = ()
    """ids"""


@dataclass(frozen=True, slots=True)
class CardChanging:
    """A client changes its account's vCard (XEP-0054), which is about to be kept. Notify; runs in the client's
    greenlet, so it may wait for the store.
    """

    owner: JID
    services: Services
    photo: Photo | None
    former: str
    """hash of the photo that was in the vCard until now; "" if there was none"""


@dataclass(frozen=True, slots=True)
class CardChanged:
    """An account's vCard (XEP-0054) has been kept, perhaps as it was already. Notify; runs in the greenlet of one of
    its clients, so it may wait for the store.
    """

    owner: JID
    services: Services


@dataclass(slots=True)
class PrivateXml:
    """Private XML (XEP-0049) of one name is about to be kept or shown, by its owner. REWRITE may replace `content`, b""
    for nothing: the element, or several of them, each to stand in jabber:iq:private. Runs in the owner's greenlet; a
    handler of what is kept may raise StanzaError.
    """

    owner: JID
    services: Services
    session: SessionView
    name: tuple[str, str]
    """(namespace, element)"""
    is_kept: bool
    content: bytes


@dataclass(slots=True)
class StreamFeatures:
    """The process is about to serve. Collect hook, fired once: add to `offered` what `Feature.stream_features` cannot
    say because it depends on the other features or on the configuration.
    """

    services: Services
    offered: list[str] = field(default_factory=list)
    """elements of <stream:features/> after authentication"""


@dataclass(frozen=True, slots=True)
class On:
    """A handler of a hook. `hook` is the dataclass it wants.

    `having`, of StanzaReceived: it has nothing to do with messages but those with a child in one of these namespaces
    (None: with any message). Saying so spares most messages the whole hook.
    """

    hook: type
    handler: Callable[[Any], None]
    phase: Phase = Phase.ACT
    having: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature, one module: everything the server has to know of it.

    `disco`: feature names on the server's JID; `account_disco`: on users' bare JIDs. `iq_get` and `iq_set`:
    (namespace, element) of the payload -> handler. `open`: (get or set, namespace, element) of those that also serve
    requests to other accounts, and check access themselves: what is refused looks like an account that does not exist.
    `replies`: prefix of an iq's id (up to a colon) -> who gets the answers to what the server asked of a client.
    `nonzas`: other first-level elements of a bound stream. `stream_features`: what is offered after authentication.
    `commands`: ad-hoc commands (XEP-0050). `hosts`: subdomains whose JIDs belong to this feature. `without`: handlers
    in its stead while it is off, where others have to be told that it is not there.
    """

    name: str
    xep: Xep | None = None
    disco: tuple[str, ...] = ()
    account_disco: tuple[str, ...] = ()
    iq_get: Mapping[tuple[str, str], Handler] = field(default_factory=dict)
    iq_set: Mapping[tuple[str, str], Handler] = field(default_factory=dict)
    open: frozenset[tuple[str, str, str]] = frozenset()
    replies: Mapping[str, Callable[[Reply], None]] = field(default_factory=dict)
    nonzas: Mapping[tuple[str, str], Callable[[SessionView, Element], None]] = field(default_factory=dict)
    stream_features: str = ""
    commands: tuple[Command, ...] = ()
    hooks: tuple[On, ...] = ()
    hosts: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    without: tuple[On, ...] = ()
