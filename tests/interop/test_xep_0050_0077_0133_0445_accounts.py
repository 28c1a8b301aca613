"""slixmpp and aioxmpp as they are: ad-hoc commands, administration, registration, password change, removal."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import PASSWORD, Server, running

ROOT = Path(__file__).parents[2]
LIBRARIES = pytest.mark.parametrize("library", ["slixmpp", "aioxmpp"])
ADMIN = "http://jabber.org/protocol/admin#"


@pytest.fixture(scope="module")
def administered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the admin user1, on which anybody may register."""
    settings: dict[str, dict[str, Any]] = {
        "administration": {"admins": ["user1@localhost"]},
        "registration": {"open": True, "tries_per_address": 1000, "tries": 1000},
    }
    with running(tmp_path_factory.mktemp("accounts"), settings=settings) as server:
        server.stock_accounts(10)
        yield server


@pytest.fixture(scope="module")
def admin(administered: Server) -> str:
    return administered.account().jid


def script(server: Server, library: str, does: str, jid: str, *arguments: str) -> Any:
    """Runs one deed of the library's client, in a process without gevent; answers what it found."""
    address = server.address()
    done = subprocess.run(
        [sys.executable, "-m", f"tests.support.{library}_accounts", does, jid, PASSWORD, str(address.port),
         address.cafile, *arguments],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@LIBRARIES
def test_an_admin_lists_and_executes_commands(administered: Server, admin: str, library: str) -> None:
    nodes = script(administered, library, "list", admin)
    made = script(administered, library, "add-user", admin, f"made-by-{library}@localhost", "a long password")

    assert {f"{ADMIN}add-user", f"{ADMIN}get-online-users-num"} <= set(nodes)
    assert "completed" == made
    assert f"made-by-{library}@localhost" in administered.command("user", "list")


@LIBRARIES
def test_others_are_forbidden(administered: Server, admin: str, library: str) -> None:
    assert "forbidden" == script(administered, library, "add-user", administered.account().jid, "x@localhost", "y")


@LIBRARIES
def test_a_user_changes_the_password_and_removes_the_account(administered: Server, admin: str, library: str) -> None:
    account = administered.account()
    changed = script(administered, library, "password", account.jid, "another password")

    assert "changed" == changed
    administered.command("user", "password", account.jid, "--password", PASSWORD)
    assert "removed" == script(administered, library, "remove", account.jid)
    assert account.jid not in administered.command("user", "list").split()


@LIBRARIES
def test_somebody_registers(administered: Server, admin: str, library: str) -> None:
    assert "registered" == script(administered, library, "register", f"newcomer-{library}@localhost")
    assert f"newcomer-{library}@localhost" in administered.command("user", "list")


def test_a_guest_registers_by_a_contacts_invitation(administered: Server, admin: str) -> None:
    """aioxmpp has no means to show an invitation."""
    uri = script(administered, "slixmpp", "invite", admin)
    token = uri.partition("preauth=")[2].partition(";")[0]

    assert uri.startswith(f"xmpp:{admin}?roster;preauth=")
    assert "registered" == script(administered, "slixmpp", "register", "guest@localhost", token)
    again = script(administered, "slixmpp", "register", "second@localhost", token)
    assert "item-not-found" == again
    assert "second@localhost" not in administered.command("user", "list").split()
