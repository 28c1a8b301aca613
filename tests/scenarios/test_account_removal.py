"""A removed account is gone: nothing in Redis or SQL lives under its name or holds it. Whatever a feature stores, this
test has to make it store something, and then finds what it left behind.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from gateway.mailbox import keys
from gateway.mailbox.embedded import socket_path
from gateway.xmpp import ns
from tests.support.adhoc import ask, command, form, values
from tests.support.phone import Phone, online
from tests.support.pieces import eventually
from tests.support.processes import Account, Server, running
from tests.support.sandbox import WITH_SANDBOX
from tests.support.sandbox_control import SandboxControl

NAME = "ephemera"
"""of the account that goes: no other name, key or word contains it"""

LATER_S = 20
"""for so long a push that was tried waits for its next try"""


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which everything is stored, and archives go to SQL soon."""
    directory = tmp_path_factory.mktemp("removal")
    settings = {"archive": {"recent_messages": 2, "interval": 0.2}, "registration": {"invites": "users"}}
    with running(directory, arguments=WITH_SANDBOX, settings=settings) as server:
        SandboxControl.of(server).ask(
            "POST", "/control/apns/faults", {"reason": "TooManyRequests", "retry_after_s": LATER_S}
        )
        server.stock_accounts(6)
        server.command("user", "add", f"{NAME}@localhost", "--password", "open sesame")
        yield server


def sent(phone: Phone, type_: str, payload: str, *, to: str = "") -> None:
    """An iq that has to be granted."""
    answer = ask(phone, type_, payload, to=to)

    assert "result" == answer.get("type"), (payload, [child.tag for child in answer.iter()])


def publish(node: str, payload: str) -> str:
    return f"<pubsub xmlns='{ns.PUBSUB}'><publish node='{node}'><item id='1'>{payload}</item></publish></pubsub>"


OWN_STORES: dict[str, Callable[[Phone, str], None]] = {
    "vCard": lambda phone, friend: sent(
        phone, "set", f"<vCard xmlns='{ns.VCARD}'><FN>{NAME}</FN><NICKNAME>x</NICKNAME></vCard>"
    ),
    "private XML": lambda phone, friend: sent(
        phone, "set", f"<query xmlns='{ns.PRIVATE}'><notes xmlns='urn:x'>{NAME}</notes></query>"
    ),
    "blocking": lambda phone, friend: sent(
        phone,
        "set",
        f"<block xmlns='{ns.BLOCKING}'><item jid='{NAME}-enemy@localhost'>"
        f"<report xmlns='{ns.REPORTING}' reason='{ns.REPORTING_REASONS}:spam'/></item></block>",
    ),
    "roster item": lambda phone, friend: sent(
        phone, "set", f"<query xmlns='{ns.ROSTER}'><item jid='else@localhost' name='{NAME}'/></query>"
    ),
    "PEP": lambda phone, friend: sent(
        phone, "set", publish("http://jabber.org/protocol/nick", f"<nick xmlns='urn:n'>{NAME}</nick>")
    ),
    "archive preferences": lambda phone, friend: sent(
        phone,
        "set",
        f"<prefs xmlns='{ns.MAM}' default='always'><always><jid>{NAME}@localhost</jid></always><never/></prefs>",
    ),
    "invitation": lambda phone, friend: _granted(values(command(phone, f"{ns.INVITE}#invite"), "uri")),
    "carbons": lambda phone, friend: sent(phone, "set", f"<enable xmlns='{ns.CARBONS}'/>"),
    "directed presence": lambda phone, friend: phone.send(f"<presence to='{friend}'><status>hi</status></presence>"),
    "subscription": lambda phone, friend: phone.send(
        f"<presence to='{friend}' type='subscribe'/><presence to='{friend}' type='subscribed'/>"
    ),
    "unanswered subscription": lambda phone, friend: phone.send("<presence to='user6@localhost' type='subscribe'/>"),
    "push": lambda phone, friend: sent(
        phone,
        "set",
        f"<enable xmlns='{ns.PUSH}' jid='push.localhost' node='{NAME}'>"
        + form(FORM_TYPE=ns.PUBSUB_PUBLISH_OPTIONS, app="demo-ios", token="ab" * 32)
        + "</enable>",
    ),
    "note to self": lambda phone, friend: phone.message(f"{NAME}@localhost", f"remember {NAME}"),
}


def _granted(found: Any) -> None:
    assert found


def store_of(server: Server) -> "redis.Redis[bytes]":
    return redis.Redis(unix_socket_path=str(socket_path(server.directory / "data")))


def content(store: "redis.Redis[bytes]", key: bytes) -> list[bytes]:
    """Everything that a key holds, whatever its type."""
    kind = store.type(key).decode()
    if kind == "string":
        return [store.get(key) or b""]
    if kind == "hash":
        return [part for item in store.hgetall(key).items() for part in item]
    if kind == "list":
        return list(store.lrange(key, 0, -1))
    if kind == "set":
        return list(store.smembers(key))
    if kind == "zset":
        return list(store.zrange(key, 0, -1))
    return [part for _, fields in store.xrange(key) for item in fields.items() for part in item]


def mentions(store: "redis.Redis[bytes]", name: str) -> list[tuple[str, str]]:
    """(key, what in it) of everything that names the account."""
    wanted, found = name.encode(), []
    for key in store.scan_iter(count=1000):
        texts = [key, *content(store, key)]
        found += [(key.decode(), text.decode("utf-8", "replace")[:200]) for text in texts if wanted in text]
    return found


def rows(server: Server) -> list[tuple[str, Any]]:
    """(table, row) of the whole archive in SQL."""
    file = server.directory / "data" / "archive.sqlite3"
    if not file.exists():
        return []
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = [(table, row) for table in tables for row in connection.execute(f"SELECT * FROM {table}")]
    connection.close()
    return found


def is_others(key: str) -> bool:
    """It is somebody else's: what the account said to them, and their word for it in their own address book.

    RFC 6121 section 3.3.3 leaves the contact's roster item in place, with the subscription ended.
    """
    return re.fullmatch(rf"wg:\{{b\d\d\}}:(arch|roster):(?!{NAME}@)[^:]+", key) is not None


def take_everything(phone: Phone) -> None:
    """Reads what the server has sent so far, and acknowledges it; the server has heard so when this returns."""
    for _ in range(2):
        phone.requests += 1
        sign = f"sync{phone.requests}"
        phone.send(f"<iq type='get' id='{sign}' to='localhost'><ping xmlns='{ns.PING}'/></iq>")
        while phone.next().get("id") != sign:
            pass
        phone.ack()


def used_to_the_full(server: Server, friend: Account) -> tuple[Phone, Phone]:
    """The account's phone, with everything stored that the server stores, and its friend's."""
    account = Account(NAME)
    phone, other = online(server, account), online(server, friend)
    for store in OWN_STORES.values():
        store(phone, friend.jid)
    other.send(f"<presence to='{account.jid}' type='subscribed'/><presence to='{account.jid}' type='subscribe'/>")
    command(phone, f"{ns.INVITE}#create-account")  # forbidden, and not begun
    for number in range(8):
        phone.message(friend.jid, f"to friend {number}")
        other.message(account.jid, f"to {NAME} {number}")
    ask(phone, "get", f"<query xmlns='{ns.MAM}' queryid='{NAME}'/>")
    tablet = online(server, account, f"tablet-{NAME}")
    tablet.send("<inactive xmlns='urn:xmpp:csi:0'/>")
    tablet.cut()  # sleeps, with what follows in its queue
    other.message(account.jid, f"sleep well, {NAME}")
    other.send(f"<message to='{account.jid}' type='chat'><propose xmlns='{ns.CALLS}' id='call'/></message>")
    other.send(f"<iq type='get' id='7' to='{account.jid}/tablet-{NAME}'><ping xmlns='{ns.PING}'/></iq>")
    return phone, other


@pytest.mark.parametrize("how", ["in-band", "by the operator", "while disabled"])
def test_nothing_is_left_of_a_removed_account(keeping: Server, how: str) -> None:
    friend = keeping.account()
    if how != "in-band":
        keeping.command("user", "add", f"{NAME}@localhost", "--password", "open sesame")
    phone, other = used_to_the_full(keeping, friend)
    store = store_of(keeping)
    letter = {"user": f"{NAME}@localhost", "reason": "queued", "why": "given up"}
    store.xadd(keys.DEAD_LETTERS, letter)
    store.xadd(keys.DEAD_LETTERS, {**letter, "user": "nurse@localhost"})
    keeping.wait(lambda: any(row[0] == f"{NAME}@localhost" for _, row in rows(keeping)), "the archive to reach SQL")
    if how != "in-band":
        phone.cut()
        other.message(f"{NAME}@localhost", "wake up")
        keeping.wait(lambda: any(":retry" in key for key, _ in mentions(store, NAME)), "a push to be tried")
    named = {key for key, _ in mentions(store, NAME)}
    before = {key.split(":")[2] for key in named if key.startswith("wg:{")}

    assert {"acct", "accts", "res", "s", "q", "vcard", "priv", "block", "roster", "invs", "pub", "push"} <= before
    assert {"unread", "calls"} <= before
    assert keys.REPORTS in named
    other.send("<presence type='unavailable'/>")
    other.ack()
    if how == "in-band":
        sent(phone, "set", f"<query xmlns='{ns.REGISTER}'><remove/></query>")
    elif how == "while disabled":
        keeping.command("user", "disable", f"{NAME}@localhost")
        keeping.command("user", "delete", f"{NAME}@localhost")
    else:
        keeping.command("user", "delete", f"{NAME}@localhost")

    def left() -> list[tuple[str, str]]:
        take_everything(other)
        return [one for one in mentions(store, NAME) if not is_others(one[0])]

    def left_in_sql() -> list[tuple[str, Any]]:
        found = [(table, row) for table, row in rows(keeping) if NAME in str(row)]
        # The first column says whose archive it is: what the account said to others is theirs.
        return [one for one in found if one[0] != "wakegate_archive" or one[1][0] == f"{NAME}@localhost"]

    try:
        eventually(lambda: not left() and not left_in_sql(), "nothing to be left", timeout_s=30)
    except AssertionError as late:
        raise AssertionError(f"left in Redis: {left()}; in SQL: {left_in_sql()}") from late
    finally:
        letters = {fields[b"user"] for _, fields in store.xrange(keys.DEAD_LETTERS)}
        store.close()
    assert {b"nurse@localhost"} == letters
