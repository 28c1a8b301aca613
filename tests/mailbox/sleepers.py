"""Phones that are asleep, and messages for them."""

from __future__ import annotations

from tests.mailbox.world import Client, World, a_message


def sleeper(world: World, resource: str = "phone") -> Client:
    """A phone with a registration, asleep."""
    client = world.client(resource)
    client.register()
    client.hibernate()
    return client


def send(world: World, *texts: str, flags: str = "swb", to: str = "") -> None:
    for text in texts:
        world.deliver(a_message(text), flags=flags, to=to)
