"""Whom attacks go to: accounts full of secrets, and what of them the store and the attacker must show."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element

import gevent
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.demo.stream import StreamEnded
from gateway.xmpp import ns
from tests.hostile.attacker import Asked, Attacker
from tests.hostile.valid_requests import HOST, NODE, NODE_CONFIG, form, pubsub
from tests.support.exchange import everything
from tests.support.phone import Phone, a_message, stanza
from tests.support.pieces import Pieces, eventually, pieces
from tests.support.processes import DOMAIN, Account, Settings

SECRET: Final = "zq9"
"""begins every secret, and is in nothing else"""

TOKEN: Final = "5ec2e7" * 10
"""a device token of every victim"""

VOLATILE: Final = frozenset({"s", "q", "back", "o", "j", "fan", "fates", "ev", "node", "due", "fade", "calls", "cmd"})
"""first words of keys that change by themselves, or with each stanza that reaches a client"""


_numbers = itertools.count(1)


@dataclass(slots=True)
class Victim:
    """An account with a client that answers what reaches it, and one whose name is a secret."""

    account: Account
    phone: Phone
    hidden: Phone
    heard: list[Element] = field(default_factory=list)

    @property
    def jid(self) -> str:
        return self.account.jid

    def settle(self) -> None:
        """Returns when its client has got everything that was sent to it until now."""
        name = f"settle{next(_numbers)}"
        self.phone.send(f"<iq type='get' id='{name}' to='{DOMAIN}'><ping xmlns='{ns.PING}'/></iq>")
        eventually(lambda: any(each.get("id") == name for each in self.heard[-50:]), "the victim's client")

    def serve(self) -> None:
        """Refuses every request, for as long as the stream lives."""
        try:
            while True:
                element = self.phone.next(timeout_s=3600)
                self.heard.append(element)
                if element.tag == stanza("iq") and element.get("type") in ("get", "set"):
                    self.phone.send(
                        f"<iq type='error' id='{element.get('id')}' to='{element.get('from')}'><error type='cancel'>"
                        f"<service-unavailable xmlns='{ns.STANZAS}'/></error></iq>"
                    )
        except StreamEnded:
            return


class Stage:
    """A server with people: `stranger` knows no attacker, `friend` is their contact, `blocker` has blocked them, and
    they have blocked `blocked`.
    """

    def __init__(self, house: Pieces) -> None:
        self.house = house
        self.stranger = self._victim()
        self.friend = self._victim(is_seen=True)
        self.blocker = self._victim()
        self.blocked = self._victim()
        self.sleeper = house.account()
        """never connected; a message waits for it"""
        self.stranger.hidden.message(self.sleeper.jid, f"{SECRET} offline")
        everything(self.stranger.hidden)
        self.blocker.hidden.send(f"<iq type='set' id='v'><vCard xmlns='{ns.VCARD}'><FN>{SECRET}</FN></vCard></iq>")
        self.blocker.hidden.skip_to(stanza("iq"), stanza("presence"))
        self.hashes = self._hashes()
        self._servants = [gevent.spawn(victim.serve) for victim in self.victims]

    @property
    def victims(self) -> tuple[Victim, ...]:
        return (self.stranger, self.friend, self.blocker, self.blocked)

    def _victim(self, *, is_seen: bool = False) -> Victim:
        account = self.house.account()
        phone = Phone(self.house, account).bind("phone")
        for type_, payload in SECRETS:
            phone.send(f"<iq type='{type_}' id='secret'>{payload}</iq>")
            answer = phone.skip_to(stanza("iq"))
            assert "result" == answer.get("type"), payload
        phone.send(a_message(account.jid, f"{SECRET} archived"))
        phone.send("<presence/>")
        everything(phone)
        secret = "seen" if is_seen else SECRET
        hidden = Phone(self.house, account).bind(f"{secret}-device")
        hidden.send(f"<presence><status>{secret} status</status></presence>")
        everything(hidden)
        return Victim(account, phone, hidden)

    def attacker(self, *, knows: bool = True) -> Attacker:
        """A new account; `knows`: it is the friend's contact, blocks and is blocked."""
        attacker = Attacker(self.house, self.house.account())
        if knows:
            self._meet(attacker)
        return attacker

    def _meet(self, attacker: Attacker) -> None:
        own, friend = attacker.account.jid, self.friend
        attacker.send(f"<presence to='{friend.jid}' type='subscribe'/><presence to='{friend.jid}' type='subscribed'/>")
        attacker.settle()
        friend.hidden.send(f"<presence to='{own}' type='subscribed'/><presence to='{own}' type='subscribe'/>")
        self.blocker.hidden.send(f"<iq type='set' id='b'><block xmlns='{ns.BLOCKING}'><item jid='{own}'/></block></iq>")
        for one in (friend.hidden, self.blocker.hidden):
            everything(one)
        items = "".join(f"<item jid='{jid}'/>" for jid in (self.blocked.jid, f"ghost@{DOMAIN}"))
        attacker.ask([Asked("block", "set", "", f"<block xmlns='{ns.BLOCKING}'>{items}</block>")])
        attacker.settle()

    def _hashes(self) -> tuple[Any, ...]:
        """What the store has of passwords."""
        found: list[Any] = []
        for key in self.house.store.scan_iter("*acct:*", count=1000):
            values = self.house.store.hgetall(key)
            found += [value for name, value in values.items() if len(value) > 15 and not value.isdigit()]
        return tuple(found)

    def leaked(self, heard: bytes) -> list[bytes]:
        """Secrets in what somebody was sent."""
        words = (SECRET.encode(), TOKEN.encode(), *self.hashes)
        return [heard[max(0, at - 200) : at + 100] for word in words if (at := heard.find(word)) >= 0]

    def snapshot(self, *names: str) -> dict[str, Any]:
        """Every key that names one of these accounts (none given: the victims), with what it holds."""
        wanted = names or (*(victim.account.name for victim in self.victims), self.sleeper.name)
        named = re.compile("|".join(f"{name}@{DOMAIN}" for name in wanted).encode())
        with self.house.store as store:
            mine = [key for key in store.scan_iter(count=1000) if named.search(key) and not _is_volatile(key)]
            with store.pipeline(transaction=False) as asked:
                for key in mine:
                    asked.type(key)
                for key, kind in zip(mine, asked.execute(), strict=True):
                    ask_content(asked, key, kind)
                return {key.decode(): found for key, found in zip(mine, asked.execute(), strict=True)}

    def close(self) -> None:
        for victim in self.victims:
            victim.phone.cut()
            victim.hidden.cut()
        gevent.joinall(self._servants, timeout=10)


def _is_volatile(key: bytes) -> bool:
    return key.decode().partition("}:")[2].partition(":")[0] in VOLATILE


def content(store: Any, key: bytes) -> Any:
    """What a key holds, so that equal content is equal whatever its encoding."""
    with store.pipeline(transaction=False) as asked:
        ask_content(asked, key, store.type(key))
        return asked.execute()[0]


def ask_content(pipe: Any, key: bytes, kind: bytes) -> None:
    """Asks for that, of a key of this kind."""
    match kind:
        case b"hash":
            pipe.hgetall(key)
        case b"set":
            pipe.smembers(key)
        case b"zset":
            pipe.zrange(key, 0, -1, withscores=True)
        case b"list":
            pipe.lrange(key, 0, -1)
        case b"stream":
            pipe.xrange(key)
        case _:
            pipe.get(key)


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Key -> (before, after) of what changed."""
    return {key: (before.get(key), after.get(key)) for key in {*before, *after} if before.get(key) != after.get(key)}


def _publish(node: str, access: str) -> tuple[str, str]:
    options = form(ns.PUBSUB_PUBLISH_OPTIONS, pubsub__access_model=access, pubsub__persist_items="true")
    item = f"<item id='{SECRET}-id'><a xmlns='urn:example:a'>{SECRET} item</a></item>"
    return "set", pubsub(f"<publish node='{node}'>{item}</publish><publish-options>{options}</publish-options>")


SECRETS: Final = (
    (
        "set",
        f"<query xmlns='{ns.ROSTER}'><item jid='{SECRET}@{DOMAIN}' name='{SECRET} name'><group>{SECRET}</group></item>"
        "</query>",
    ),
    ("set", f"<query xmlns='{ns.PRIVATE}'><notes xmlns='urn:example:notes'>{SECRET} notes</notes></query>"),
    ("set", f"<block xmlns='{ns.BLOCKING}'><item jid='{SECRET}-enemy@{DOMAIN}'/></block>"),
    ("set", f"<prefs xmlns='{ns.MAM}' default='always'><always><jid>{SECRET}@{DOMAIN}</jid></always><never/></prefs>"),
    _publish(NODE, "whitelist"),
    _publish(f"urn:example:{SECRET}", "whitelist"),
    _publish("urn:example:private", "whitelist"),
    (
        "set",
        pubsub(
            f"<affiliations node='{NODE}'><affiliation jid='{SECRET}@{DOMAIN}' affiliation='member'/></affiliations>",
            owner=True,
        ),
    ),
    (
        "set",
        pubsub(
            f"<configure node='{NODE}'>{form(NODE_CONFIG, pubsub__title=f'{SECRET} title')}</configure>", owner=True
        ),
    ),
    (
        "set",
        f"<enable xmlns='{ns.PUSH}' jid='{HOST}' node='{SECRET}-node'>"
        + form(ns.PUBSUB_PUBLISH_OPTIONS, app="chat", token=TOKEN)
        + "</enable>",
    ),
)
"""what every victim keeps"""


def _settings(directory: Path, more: Settings) -> dict[str, dict[str, Any]]:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "key.p8").write_bytes(key.private_bytes(*pem))
    return {
        "limits": {"write_timeout": 3600.0},  # the victims' second devices read nothing of what they are sent
        "registration": {"open": True, "invites": "users", "tries_per_address": 100_000, "tries": 1_000_000},
        "external_services.services.turn": {"host": "turn.example", "type": "turn", "port": 3478, "secret": "shared"},
        "push.apps.chat": {
            "provider": "apns",
            "topic": "org.example.chat",
            "team_id": "TEAM567890",
            "key_id": "KEY4567890",
            "key_file": str(directory / "key.p8"),
            "endpoint": "https://127.0.0.1:9",
        },
        **{name: dict(values) for name, values in more.items()},
    }


@contextmanager
def a_stage(directory: Path, accounts: int, **more: dict[str, Any]) -> Iterator[Stage]:
    """A server of its own, with the victims on it."""
    with pieces(directory, settings=_settings(directory, more)) as house:
        house.stock_accounts(accounts)
        stage = Stage(house)
        yield stage
        stage.close()
