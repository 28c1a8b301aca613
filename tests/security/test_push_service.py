"""push.<domain>: a device belongs to the address that registered it, whatever another user's commands name."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal
from tests.appserver.test_service import DOMAIN, JULIET, TOKEN, Town, condition, journal, values

__all__ = ["journal"]  # the fixture

EVE = "eve@peer.example/phone"
ELSEWHERE = "juliet@other.example/phone"
"""the same name at another server, which says what it likes of its own users alone"""


@pytest.fixture
def town(journal: Journal) -> Town:
    return Town(journal)


def registration(town: Town, node: str) -> Any:
    """What is kept of a device."""
    jid = f"{node}@{DOMAIN}"
    return town.journal.call("HGETALL", keys.key(keys.prefix(jid), "registrations", jid))


@pytest.mark.parametrize("thief", [EVE, ELSEWHERE])
def test_nobody_forgets_another_users_device(town: Town, thief: str) -> None:
    mine = town.registered(device__id="7")
    before = registration(town, mine["node"])

    tried = [
        town.command("unregister", {"node": mine["node"]}, from_=thief),
        town.command("unregister", {"node": f"{mine['node']}@{DOMAIN}"}, from_=thief),
        *(town.command(f"unregister-push-{name}", {"device-id": "7"}, from_=thief) for name in ("apns", "fcm")),
        town.command("unregister-device", {"provider": "tigase:messenger:apns:1", "device-token": TOKEN}, from_=thief),
    ]

    assert {"item-not-found"} == {condition(answer) for answer in tried}
    assert before and before == registration(town, mine["node"])


@pytest.mark.parametrize("thief", [EVE, ELSEWHERE])
def test_whoever_registers_the_same_token_and_name_gets_a_node_of_his_own(town: Town, thief: str) -> None:
    mine = town.registered(device__id="7")
    before = registration(town, mine["node"])

    theirs = values(
        town.command("register", {"app": "ios", "token": TOKEN, "device-id": "7", "node": mine["node"]}, from_=thief)
    )

    assert mine["node"] != theirs["node"]
    assert mine["secret"] != theirs["secret"]
    assert before == registration(town, mine["node"])


@pytest.mark.parametrize("sender", ["other.example", EVE, "eve@peer.example", ELSEWHERE, JULIET, DOMAIN, ""])
def test_nobody_publishes_for_another_users_device_even_with_its_secret(town: Town, sender: str) -> None:
    mine = town.registered()

    assert town.publish(mine["node"], mine["secret"], from_=sender)
    assert [] == town.events()


def test_a_secret_of_one_device_is_none_of_another(town: Town) -> None:
    mine, theirs = town.registered(), values(town.command("register", {"app": "ios", "token": "cd" * 32}, from_=EVE))

    assert "forbidden" == town.publish(mine["node"], theirs["secret"])
    assert "" == town.publish(mine["node"], mine["secret"])
