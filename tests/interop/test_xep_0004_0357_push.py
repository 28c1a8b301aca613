"""slixmpp as it is registers for push, with a form that its own part for forms makes."""

from collections.abc import Iterator

import msgspec
import pytest

from gateway.mailbox import keys
from tests.support.deeds import deed
from tests.support.iq import store_of
from tests.support.pieces import pieces
from tests.support.processes import Account, Server

SERVICE = "push.localhost"


@pytest.fixture(scope="module")
def waking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that knows an app."""
    directory = tmp_path_factory.mktemp("push")
    credentials = directory / "service-account.json"
    credentials.write_text("{}")
    apps = {"push.apps.chat": {"provider": "fcm", "service_account_file": str(credentials)}}
    with pieces(directory, settings=apps) as server:
        server.stock_accounts(4)
        yield server


def registrations(server: Server, account: Account) -> dict[str, str]:
    """Node -> token."""
    with store_of(server) as store:
        found = store.hvals(keys.key(keys.prefix(account.jid), "registrations", account.jid))
    read = [msgspec.json.decode(one) for one in found]
    return {one["node"]: one["token"] for one in read}


def test_it_registers_and_takes_it_back(waking: Server) -> None:
    account = waking.account()

    assert "enabled" == deed(waking, "slixmpp", account, "enable_push", SERVICE, "n1", "chat", "token-1")
    before = registrations(waking, account)
    assert "disabled" == deed(waking, "slixmpp", account, "disable_push", SERVICE)
    assert {"n1": "token-1"} == before
    assert {} == registrations(waking, account)


def test_an_app_that_the_server_does_not_know_is_refused(waking: Server) -> None:
    account = waking.account()

    assert "error" in deed(waking, "slixmpp", account, "enable_push", SERVICE, "n1", "other", "token-1")
    assert {} == registrations(waking, account)
