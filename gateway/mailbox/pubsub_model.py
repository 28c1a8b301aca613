"""Pubsub nodes (XEP-0060) as the mailbox keeps them, what an operator sets about them, what operations answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from gateway.errors import WakegateError
from gateway.settings import setting

AccessModel = Literal["open", "presence", "roster", "whitelist"]

Mode = Literal["all", "last", "after", "before", "ids"]
"""which items are read: the oldest, the newest, those next to one, or some by their ids"""


@dataclass(frozen=True)
class PubsubSettings:
    """[pubsub] XEP-0163: personal eventing."""

    max_nodes: int = setting(250, unit="nodes", least=1, most=1000, help="Nodes of one account.")
    max_items: int = setting(
        1000,
        unit="items",
        least=1,
        most=10000,
        help="Items of one node; what `max` means where a client asks for as many as there may be.",
    )
    max_item_bytes: int = setting(
        262144, unit="bytes", least=1024, most=1048576, help="One item; [limits] max_stanza_bytes bounds it as well."
    )
    max_bytes: int = setting(
        16777216, unit="bytes", least=65536, most=1073741824, help="All items of one account together."
    )
    max_subscriptions: int = setting(
        1000,
        unit="entries",
        least=0,
        most=1000,
        help="Explicit subscriptions to one account's nodes, and as many entries of its nodes' whitelists.",
    )


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A node's configuration: XEP-0060's fields by their names, with the defaults of XEP-0163 section 5.

    Kept as JSON; `lua/68_pubsub.lua` reads the fields by these names.
    """

    title: str = ""
    description: str = ""
    type: str = ""
    access_model: AccessModel = "presence"
    roster_groups_allowed: str = ""
    """each between line feeds, sorted; "" for none"""
    persist_items: bool = True
    max_items: int = 1
    """0 is the word `max`"""
    item_expire: int = 0
    """seconds; 0 is the word `max`: never"""
    max_payload_size: int = 0
    """bytes; 0: what the server allows"""
    send_last_published_item: Literal["never", "on_sub", "on_sub_and_presence"] = "on_sub_and_presence"
    deliver_notifications: bool = True
    deliver_payloads: bool = True
    notification_type: Literal["headline", "normal"] = "headline"
    notify_config: bool = False
    notify_delete: bool = True
    notify_retract: bool = False
    purge_offline: bool = False
    subscribe: bool = True
    created: int = 0
    """ms since 1970"""


Options = dict[str, str | int | bool]
"""Some of NodeConfig's fields: what is to be changed, or has to be so."""

DEFAULTS = NodeConfig()


class PubsubRefusal(WakegateError):
    """The mailbox did not do it. `why` is its word for the reason (see `lua/68_pubsub.lua`), such as no-account,
    item-not-found, closed-node, precondition-not-met, too-many-nodes, payload-too-big or quota.
    """

    metric = "pubsub_refusal"

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}" if detail else why)
        self.why = why
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Item:
    """A published item: its id, and the whole `<item/>` (without a namespace of its own)."""

    id: str
    xml: bytes


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Items of a node, oldest first; `count` are all there are, `first` is the turn of the first here (-1: none)."""

    items: tuple[Item, ...]
    count: int
    first: int


@dataclass(frozen=True, slots=True)
class Last:
    """A node's last item as a new subscriber gets it."""

    type: str
    name: str
    ms: str
    item: bytes
    """the `<item/>`"""
