"""Personal eventing (XEP-0163): a typed face of `lua/68_pubsub*.lua`. Methods wait, and raise StoreError; what the
mailbox refuses is raised as PubsubRefusal. `owner` is a bare JID, `asker` a full one.

Whoever publishes gets an answer when the mailbox has it. Others are told by operations on their mailboxes, submitted
one behind the other. Should the process die in between, they get the item as the last published one when they come
online next.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol
from weakref import WeakKeyDictionary

import msgspec

from gateway.mailbox import keys
from gateway.mailbox.errors import StoreError
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox, placed
from gateway.mailbox.model import Placed
from gateway.mailbox.pubsub_model import (
    DEFAULTS,
    Item,
    ItemPage,
    Last,
    Mode,
    NodeConfig,
    Options,
    PubsubRefusal,
    PubsubSettings,
)
from gateway.settings import Settings
from gateway.xmpp.escape import escape

BURST: Final = 1_048_576
"""bytes of notifications on their way to the store; then the publisher waits"""

_DEFAULTS: Final = msgspec.json.encode(DEFAULTS)


class Means(Protocol):
    """What is needed of the process; `gateway.hooks.Services` has it."""

    @property
    def mailbox(self) -> Mailbox:
        """Operations on mailboxes."""

    @property
    def settings(self) -> Settings:
        """The frozen configuration."""

    def announce(self, placed: Iterable[Placed], stanza: bytes = b"") -> None:
        """Tell the owners of sessions that their queues have grown."""


@dataclass(frozen=True, slots=True)
class Event:
    """A notification as it goes to other accounts. `inner` is the content of <event/>, `ms` the time of publication if
    it is late.
    """

    owner: str
    node: str
    name: str
    type: str
    id: str
    inner: bytes
    ms: str = ""


class Pubsubs:
    """Operations on accounts' nodes. One for each mailbox and process: take it from `of`."""

    _all: WeakKeyDictionary[Mailbox, Pubsubs] = WeakKeyDictionary()

    def __init__(self, means: Means) -> None:
        self._journal = means.mailbox.journal
        self._limits = means.mailbox.limits
        self._announce = means.announce
        self._settings = means.settings.of(PubsubSettings)
        self._process = "@" + secrets.token_hex(8)
        self._serials = itertools.count(1)

    @classmethod
    def of(cls, means: Means) -> Pubsubs:
        """The one of this process: requests are numbered, so that the mailbox takes none twice."""
        found = cls._all.get(means.mailbox)
        if found is None:
            found = cls._all[means.mailbox] = cls(means)
        return found

    # The owner's

    def create(self, owner: str, node: str, options: Options) -> None:
        """Make a node; `options` differ from the defaults."""
        why = self._do("create", owner, owner, node, _DEFAULTS, _json(options), self._settings.max_nodes)
        _check(why)

    def publish(self, owner: str, node: str, item_id: str, payload: bytes, options: Options | None = None) -> Item:
        """Publish an item, with "" as its id one that gets a new one, and tell who is to be told.

        `payload` is an element that stands by itself. `options` are preconditions, and the configuration of a node
        that is made for it.
        """
        item_id = item_id or secrets.token_hex(12)
        begin = f"<item id='{escape(item_id)}'"
        bare, xml = f"{begin}/>".encode(), b"%b>%b</item>" % (begin.encode(), payload)
        if len(xml) > self._settings.max_item_bytes:
            raise PubsubRefusal("payload-too-big", f"an item has at most {self._settings.max_item_bytes} bytes")
        event_id, settings = secrets.token_hex(8), self._settings
        reply = self._do(
            "publish", owner, owner, escape(owner), node, escape(node), item_id, xml, bare, _DEFAULTS,
            _json(options or {}), event_id, settings.max_nodes, settings.max_items, settings.max_bytes, *self._limits,
        )  # fmt: skip
        self._tell(owner, node, event_id, _items(node, xml if reply[6] == b"full" else bare), reply)
        for gone in reply[7]:
            self._tell_gone(owner, node, gone.decode())
        return Item(item_id, xml)

    def _tell_gone(self, owner: str, node: str, item_id: str) -> None:
        event_id, inner = secrets.token_hex(8), _items(node, f"<retract id='{escape(item_id)}'/>".encode())
        reply = self._do("tell", owner, owner, escape(owner), node, item_id, inner, event_id, *self._limits)
        self._tell(owner, node, event_id, inner, reply)

    def retract(self, owner: str, node: str, item_id: str, *, notify: bool) -> None:
        """Delete an item; with `notify`, tell of it even if the node is not configured so."""
        event_id, inner = secrets.token_hex(8), _items(node, f"<retract id='{escape(item_id)}'/>".encode())
        reply = self._do(
            "retract", owner, owner, escape(owner), node, item_id, inner, event_id, "1" if notify else "", *self._limits
        )
        self._tell(owner, node, event_id, inner, reply)

    def empty(self, owner: str, node: str, how: Literal["purge", "delete"]) -> None:
        """Purge a node's items, or delete the node with everything."""
        event_id, inner = secrets.token_hex(8), f"<{how} node='{escape(node)}'/>".encode()
        reply = self._do("empty", owner, owner, escape(owner), node, how, inner, event_id, *self._limits)
        self._tell(owner, node, event_id, inner, reply)

    def configure(self, owner: str, node: str, options: Options, inner: bytes) -> None:
        """Change some fields of a node's configuration. `inner` is what those are told that are to be told of it."""
        event_id = secrets.token_hex(8)
        reply = self._do(
            "configure", owner, owner, escape(owner), node, _json(options), inner, event_id, self._settings.max_items,
            *self._limits,
        )  # fmt: skip
        self._tell(owner, node, event_id, inner, reply)

    def affiliate(self, owner: str, node: str, changes: Mapping[str, str]) -> None:
        """Bare JID -> member, outcast or none."""
        flat = [part for change in changes.items() for part in change]
        _check(self._call("affiliate", owner, owner, node, self._settings.max_subscriptions, *flat))

    def standing(self, owner: str, asker: str) -> PubsubRefusal:
        """What is said to somebody who wants to do what only the owner may."""
        return PubsubRefusal(self._call("standing", owner, owner, asker).decode())

    # Whoever may see a node

    def config(self, owner: str, asker: str, node: str) -> tuple[NodeConfig, int]:
        """A node's configuration and its number of items."""
        reply = _check(self._call("node", owner, owner, asker, node))
        return msgspec.json.decode(reply[1], type=NodeConfig), reply[2]

    def nodes(self, owner: str, asker: str) -> list[tuple[str, NodeConfig]]:
        """The nodes that the asker may read, by name."""
        reply = self._call("nodes", owner, owner, asker)
        found = zip(reply[::2], reply[1::2], strict=True)
        return sorted((node.decode(), msgspec.json.decode(config, type=NodeConfig)) for node, config in found)

    def items(
        self,
        owner: str,
        asker: str,
        node: str,
        *,
        mode: Mode = "all",
        most: int = 1000,
        ids: Iterable[str] = (),
    ) -> ItemPage:
        """The oldest `most` items ("all"), the newest ("last"), those next to the item `ids[0]`, or those of `ids`."""
        reply = _check(self._call("items", owner, owner, asker, node, mode, most, *(ids or ("",))))
        found = zip(reply[3::2], reply[4::2], strict=True)
        return ItemPage(tuple(Item(name.decode(), xml) for name, xml in found), reply[1], reply[2])

    def subscribe(self, owner: str, asker: str, node: str, jid: str) -> None:
        """Subscribe `jid`, bare or full, and send it the last item if the node is configured so."""
        reply = _check(self._call("subscribe", owner, owner, asker, node, jid, self._settings.max_subscriptions))
        if len(reply) > 1:
            last = Last(reply[1].decode(), reply[2].decode(), reply[3].decode(), reply[5])
            inner = _items(node, last.item or f"<item id='{escape(reply[4].decode())}'/>".encode())
            bare, _, resource = jid.partition("/")
            event = Event(owner, node, last.name, last.type, secrets.token_hex(8), inner, last.ms)
            self._notify(bare, f"\n{resource}\n" if resource else "a", event)

    def unsubscribe(self, owner: str, asker: str, node: str, jid: str) -> None:
        """End the subscription of `jid`."""
        _check(self._do("unsubscribe", owner, owner, asker, node, jid, checked=False))

    def subscriptions(self, owner: str, asker: str, node: str) -> list[tuple[str, str]]:
        """The asker's subscriptions, (node, JID); `node` "" is all."""
        reply = _check(self._call("subscriptions", owner, owner, asker, node))
        return sorted((name.decode(), jid.decode()) for name, jid in zip(reply[1::2], reply[2::2], strict=True))

    def affiliations(self, owner: str, asker: str, node: str, *, of_node: bool = False) -> list[tuple[str, str, str]]:
        """The asker's affiliations, (node, bare JID, affiliation); `of_node`: everybody's with that node."""
        reply = _check(self._call("affiliations", owner, owner, asker, node, "node" if of_node else "own"))
        parts = [part.decode() for part in reply[1:]]
        return sorted(zip(parts[::3], parts[1::3], parts[2::3], strict=True))

    # Telling others

    def _tell(self, owner: str, node: str, event_id: str, inner: bytes, reply: Any) -> None:
        """What an operation answered about an event goes on to the owner's sessions and to other accounts."""
        _, type_, name, own, cursor, others = reply[:6]
        self._announce(placed(own))
        event = Event(owner, node, name.decode(), type_.decode(), event_id, inner)
        told: set[bytes] = set()
        on_its_way = 0
        while True:
            for bare, how in zip(others[::2], others[1::2], strict=True):
                if bare not in told:
                    told.add(bare)
                    self._notify(bare.decode(), how.decode(), event)
                    on_its_way += len(inner) + 500
                if on_its_way > BURST:
                    self._journal.call("PING")  # comes back behind everything before it
                    on_its_way = 0
            if cursor == b"0":
                return
            cursor, others = self._call("audience", owner, owner, node, cursor)

    def _notify(self, user: str, how: str, event: Event) -> None:
        def done(reply: Any) -> None:
            if not isinstance(reply, StoreError):
                self._announce(placed(reply))

        self._journal.submit(
            done, "FCALL", function("pubsub_notify"), 1, keys.prefix(user), self._process, next(self._serials), user,
            event.owner, escape(event.owner), event.node, how, event.name, event.type, event.id, event.inner, event.ms,
            *self._limits,
        )  # fmt: skip

    # Calls

    def _do(self, operation: str, user: str, *arguments: bytes | str | int, checked: bool = True) -> Any:
        """An operation that must not take effect twice."""
        reply = self._call(operation, user, self._process, next(self._serials), *arguments)
        return _check(reply) if checked else reply

    def _call(self, operation: str, user: str, *arguments: bytes | str | int) -> Any:
        return self._journal.call("FCALL", function("pubsub_" + operation), 1, keys.prefix(user), *arguments)


def _check(reply: Any) -> Any:
    """The reply, if it says ok; else what it says is raised."""
    first = reply[0] if isinstance(reply, list) else reply
    if first != b"ok":
        raise PubsubRefusal(first.decode(), reply[1].decode() if isinstance(reply, list) and len(reply) > 1 else "")
    return reply


def _items(node: str, inner: bytes) -> bytes:
    return b"<items node='%b'>%b</items>" % (escape(node).encode(), inner)


def _json(options: Mapping[str, str | int | bool]) -> bytes:
    return msgspec.json.encode(options)
