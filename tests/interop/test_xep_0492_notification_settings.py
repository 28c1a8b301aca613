"""slixmpp as it is says in a bookmark when it wants to be notified; pushes obey."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.mailbox.embedded import socket_path
from gateway.mailbox.journal import Journal
from gateway.mailbox.keys import bucket_of
from gateway.mailbox.pushes import Event, Pushes, Send, stream
from gateway.xmpp import ns
from tests.support.deeds import deed
from tests.support.iq import ask
from tests.support.phone import Phone, a_message, close_phones, online
from tests.support.pieces import Pieces, eventually, pieces
from tests.support.processes import Account
from workers.push.chat_rules import read_rules, verdict
from workers.push.summary import summary

ENABLE = (
    f"<enable xmlns='{ns.PUSH}' jid='push.localhost' node='n1'><x xmlns='{ns.DATA_FORMS}' type='submit'>"
    f"<field var='FORM_TYPE'><value>{ns.PUBSUB_PUBLISH_OPTIONS}</value></field>"
    "<field var='app'><value>chat</value></field><field var='token'><value>token-1</value></field></x></enable>"
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    directory = tmp_path_factory.mktemp("notify")
    credentials = directory / "service-account.json"
    credentials.write_text("{}")
    apps = {"push.apps.chat": {"provider": "fcm", "service_account_file": str(credentials)}}
    with pieces(directory, settings=apps) as server:
        server.stock_accounts(12)
        yield server
        close_phones()


@pytest.fixture
def pushes(house: Pieces) -> Iterator[Pushes]:
    journal = Journal(f"unix://{socket_path(house.directory / 'data')}")
    journal.start()
    yield Pushes(journal)
    journal.stop()


def claimed(house: Pieces, pushes: Pushes, account: Account, friend: Phone) -> Send:
    """What a worker is told when the friend writes to the account's sleeping phone."""
    phone = online(house, account)
    assert "result" == ask(phone, ENABLE, type="set").get("type")
    phone.cut()
    eventually(lambda: house.session(account.jid, phone.session_id).get("state") == "asleep", "hibernation")
    friend.send(a_message(account.jid, "hi"))
    friend.round_trip()
    event = the_event(house, account)
    answer = pushes.claim(event, floor_ms=0)
    assert isinstance(answer, Send), answer
    return answer


def the_event(house: Pieces, account: Account) -> Event:
    bucket = bucket_of(account.jid)
    found = house.store.xrange(stream(bucket))
    (event,) = [
        Event.read(bucket, name.decode(), {key.decode(): value.decode() for key, value in fields.items()})
        for name, fields in found
        if fields[b"user"] == account.jid.encode()
    ]
    return event


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (("never",), "muted"),
        (("always", "never:phone"), "muted"),
        (("never", "always:phone"), ""),
        (("never:pc",), ""),
        (("always",), ""),
    ],
)
def test_a_chat_that_it_silenced_wakes_no_phone(
    house: Pieces, pushes: Pushes, settings: tuple[str, ...], expected: str
) -> None:
    account, other = house.account(), house.account()
    friend = Phone(house, other).bind("friend").available()

    assert "kept" == deed(house, "slixmpp", account, "notify_chat", other.jid, *settings)
    claim = claimed(house, pushes, account, friend)

    (waiting,) = claim.waiting
    assert expected == verdict(
        summary(waiting.entry.stanza),
        waiting.subscription,
        filters=None,
        rules=read_rules(claim.rules),
        user=account.jid,
        now_ms=0,
    )
