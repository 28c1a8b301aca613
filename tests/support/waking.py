"""A gateway with an app for pushes and nobody who consumes its events, so that a test can claim them itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from gateway.mailbox import keys
from gateway.mailbox.embedded import socket_path
from gateway.mailbox.journal import Journal
from gateway.mailbox.pushes import Event
from gateway.mailbox.unread import Unread
from gateway.xmpp import ns
from tests.support.exchange import request
from tests.support.phone import Phone, online
from tests.support.pieces import Pieces, eventually, pieces
from tests.support.processes import Account, Settings

SERVICE = "push.localhost"


@contextmanager
def waking(directory: Path, *, accounts: int = 40, more: Settings | None = None) -> Iterator[Pieces]:
    """The server, with an app `chat`, and `more` settings."""
    service_account = directory / "service-account.json"
    service_account.write_text("{}")
    settings: Settings = {
        "smacks": {"smacks_max_ack_delay": 0.5},
        "push.apps.chat": {"provider": "fcm", "service_account_file": str(service_account)},
        **(more or {}),
    }
    with pieces(directory, commands=("sweeper",), settings=settings) as server:
        server.add_accounts(accounts)
        yield server


@contextmanager
def journal_of(house: Pieces) -> Iterator[Journal]:
    """A worker's connection to the store."""
    journal = Journal(f"unix://{socket_path(house.directory / 'data')}")
    journal.start()
    journal.wait_up(10)
    yield journal
    journal.stop()


def watched(house: Pieces, account: Account, resource: str = "phone") -> Phone:
    """An available phone that is to be woken."""
    phone = online(house, account, resource)
    fields = {"FORM_TYPE": ns.PUBSUB_PUBLISH_OPTIONS, "app": "chat", "token": f"token-of-{resource}"}
    inner = "".join(f"<field var={quoteattr(var)}><value>{value}</value></field>" for var, value in fields.items())
    form = f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{inner}</x>"
    answer = request(phone, "set", f"<enable xmlns='{ns.PUSH}' jid='{SERVICE}' node='{resource}'>{form}</enable>")
    assert "result" == answer.get("type")
    phone.ack()
    phone.handled()
    return phone


def sleeps(house: Pieces, phone: Phone) -> None:
    """The link is lost, and the server knows."""
    phone.cut()
    eventually(lambda: house.session(phone.account.jid, phone.session_id).get("state") == "asleep", "hibernation")


def events_of(house: Pieces, account: Account) -> list[Event]:
    """The account's push events as a worker would read them, oldest first."""
    found: Any = house.store.xrange(keys.key(keys.prefix(account.jid), "events"))
    read = [
        Event.read(
            keys.bucket_of(account.jid), name.decode(), {key.decode(): value.decode() for key, value in fields.items()}
        )
        for name, fields in found
    ]
    return [event for event in read if event.user == account.jid]


def unread_of(house: Pieces, account: Account) -> int | None:
    """What the account's badge shows."""
    with journal_of(house) as journal:
        return Unread(journal).total(account.jid)
