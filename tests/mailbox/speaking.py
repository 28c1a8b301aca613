"""Builders: what an account's device sends to somebody, as a gateway hands it to both mailboxes in one step."""

from __future__ import annotations

import itertools

from gateway.mailbox.model import Delivery, Origin
from gateway.xmpp import ns
from tests.mailbox.world import Client, World, a_message

_COUNTS = itertools.count(1)

MARKER = f"<message><displayed xmlns='{ns.MARKERS}' id='m1'/></message>".encode()


def says(client: Client, to: str, stanza: bytes, *, flags: str, type_: str = "chat", count: int = 0) -> Delivery:
    """`client` sends a message to a JID. `count`: its inbound count, to send the same stanza once more."""
    user, _, resource = to.partition("/")
    return client.world.deliver(
        stanza, user=user, to=resource, sender=f"{client.user}/{client.resource}", flags=flags, type=type_,
        origin=Origin(client.sid, count or next(_COUNTS), 60_000, client.grip, counts=False),
    )  # fmt: skip


def answers(client: Client, to: str, text: str = "yes", *, flags: str = "swb", type_: str = "chat") -> Delivery:
    return says(client, to, a_message(text), flags=flags, type_=type_)


def displays(client: Client, to: str, *, type_: str = "chat", count: int = 0) -> Delivery:
    """The device has shown the conversation, and says so (XEP-0333)."""
    return says(client, to, MARKER, flags="sbv", type_=type_, count=count)


def watched(world: World, resource: str = "phone", user: str = "") -> Client:
    """A device that is to be woken, connected."""
    client = world.bind(resource, user=user) if user else world.bind(resource)
    client.enable()
    client.presence()
    client.register()
    return client
