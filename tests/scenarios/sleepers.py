"""Phones that registered for pushes and are asleep, and messages for them."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

import pytest

from gateway.demo.stream import condition_of
from gateway.mailbox import keys
from gateway.mailbox.embedded import socket_path
from gateway.mailbox.journal import Journal
from gateway.mailbox.pushes import Event, Pushes
from gateway.xmpp import ns
from tests.support.phone import Phone, a_message, online, stanza
from tests.support.pieces import Pieces, eventually, pieces
from tests.support.processes import Account

MESSAGE, IQ, PRESENCE = stanza("message"), stanza("iq"), stanza("presence")
SERVICE = "push.localhost"
ACK_DELAY_S = 0.5
INACTIVE_ACK_DELAY_S = 0.3


def a_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    directory = tmp_path_factory.mktemp("push")
    service_account = directory / "service-account.json"
    service_account.write_text("{}")
    settings = {
        "smacks": {"smacks_max_ack_delay": ACK_DELAY_S, "smacks_max_hibernation_time": 600},
        "push": {"offered_grace": 0, "inactive_ack_delay": INACTIVE_ACK_DELAY_S},
        "push.apps.chat": {"provider": "fcm", "service_account_file": str(service_account)},
        "push.apps.chat-ios": {
            "provider": "apns",
            "topic": "org.example.chat",
            "certificate_file": str(service_account),
        },
    }
    with pieces(directory, commands=("sweeper",), settings=settings) as server:
        server.add_accounts(80)
        yield server


def form(fields: dict[str, str], *, type_: str = "submit") -> str:
    """A publish-options form."""
    inner = "".join(f"<field var={quoteattr(var)}><value>{value}</value></field>" for var, value in fields.items())
    return f"<x xmlns='{ns.DATA_FORMS}' type='{type_}'>{inner}</x>"


GOOD = {"FORM_TYPE": ns.PUBSUB_PUBLISH_OPTIONS, "app": "chat", "token": "token-1"}


def ask(phone: Phone, payload: str) -> str:
    """Sends an iq of type set to the own account; answers "" for a result, or the error's condition."""
    phone.send(f"<iq type='set' id='push'>{payload}</iq>")
    answer = phone.skip_to(IQ, PRESENCE, MESSAGE)
    phone.ack()
    error = answer.find(stanza("error"))
    return "" if error is None else condition_of(error)


def enable(phone: Phone, node: str = "n1", **fields: str) -> str:
    return ask(phone, f"<enable xmlns='{ns.PUSH}' jid='{SERVICE}' node='{node}'>{form({**GOOD, **fields})}</enable>")


def registered(house: Pieces, *, max_s: str = "60") -> Phone:
    """An available phone that is to be woken."""
    phone = online(house, house.account(), enable=f"resume='true' max='{max_s}'")
    assert "" == enable(phone)
    return phone


def friend_of(house: Pieces) -> Phone:
    return Phone(house, house.account()).bind("friend").available()


def tell(friend: Phone, to: Account | Phone, *bodies: str) -> None:
    """Sends messages; returns when they are in their mailbox."""
    jid = to.jid if isinstance(to, Account) else to.account.jid
    friend.send("".join(a_message(jid, body) for body in bodies))
    friend.round_trip()


def asleep(house: Pieces, phone: Phone) -> None:
    """The link is lost, and the server knows."""
    phone.cut()
    eventually(lambda: house.session(phone.account.jid, phone.session_id).get("state") == "asleep", "hibernation")


def the_pushes(house: Pieces) -> Iterator[Pushes]:
    journal = Journal(f"unix://{socket_path(house.directory / 'data')}")
    journal.start()
    journal.wait_up(10)
    yield Pushes(journal)
    journal.stop()


def the_event(house: Pieces, account: Account, at: int = 0) -> Event:
    """The event as a worker would read it."""
    prefix = keys.prefix(account.jid)
    bucket = next(number for number in range(keys.BUCKETS) if keys.bucket_prefix(number) == prefix)
    found = house.store.xrange(keys.key(prefix, "events"))
    read = [
        Event.read(bucket, name.decode(), {key.decode(): value.decode() for key, value in fields.items()})
        for name, fields in found
    ]
    return [event for event in read if event.user == account.jid][at]
