"""Devices of one account that get copies of messages (XEP-0280), and who writes to them."""

from __future__ import annotations

from gateway.xmpp import ns
from tests.support.exchange import (
    enable_carbons,
    everything,
    shown,
)
from tests.support.phone import Phone, online
from tests.support.processes import Server

BODY = "<body>hello</body>"


def devices(server: Server, *names: str) -> list[Phone]:
    """Devices of one account, all available and with carbons."""
    account = server.account()
    return [enable_carbons(online(server, account, name)) for name in names]


def romeo(server: Server) -> Phone:
    return online(server, server.account(), "orchard")


def tell(sender: Phone, *stanzas: str) -> None:
    """Sends; returns when all of it is where it belongs. Errors that came back are skipped."""
    for each in stanzas:
        sender.send(each)
    everything(sender)


def seen(phone: Phone) -> list[str]:
    return shown(phone, everything(phone))


CHATSTATE = f"<composing xmlns='{ns.CHATSTATES}'/>"
ERROR = f"<error type='cancel'><service-unavailable xmlns='{ns.STANZAS}'/></error>"
