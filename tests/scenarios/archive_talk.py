"""Who talks for the archive's tests."""

from __future__ import annotations

from gateway.xmpp import ns
from tests.support.archive import Answer, collect, new_id
from tests.support.phone import Phone, online
from tests.support.processes import Server


def numbered(first: int, last: int) -> list[str]:
    return [f"m{number}" for number in range(first, last)]


def a_romeo(server: Server) -> Phone:
    return online(server, server.account(), "orchard")


def a_juliet(server: Server) -> Phone:
    return online(server, server.account(), "balcony")


def bare(phone: Phone) -> str:
    return phone.account.jid


def say(sender: Phone, to: str, first: int, last: int) -> None:
    for number in range(first, last):
        sender.message(to, f"m{number}", f"id{number}")
    sender.handled()


def prefs(phone: Phone, inner: str = "", *, default: str = "", iq_type: str = "set") -> Answer:
    name = new_id()
    said = f" default='{default}'" if default else ""
    phone.send(f"<iq type='{iq_type}' id='{name}'><prefs xmlns='{ns.MAM}'{said}>{inner}</prefs></iq>")
    return collect(phone, name)
