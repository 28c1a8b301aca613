"""XEP-0445 and XEP-0401: who is invited may make an account, once."""

import re
from collections.abc import Iterator

import pytest

from gateway.xmpp import ns
from tests.support.adhoc import ask, command, error_of, run, values
from tests.support.phone import Phone, online
from tests.support.processes import PASSWORD, Account, Server, running
from tests.support.strangers import close_strangers, offered, register, say, show, stranger

INVITE = f"{ns.INVITE}#invite"
CREATE = f"{ns.INVITE}#create-account"


@pytest.fixture(scope="module")
def inviting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Users invite contacts; user1 is an admin."""
    settings = {
        "administration": {"admins": ["user1@localhost"]},
        "registration": {"invites": "users", "max_invites": 3, "tries_per_address": 1000, "tries": 1000},
    }
    settings["registration"]["invite_page"] = "https://localhost/invite#{token}"
    with running(tmp_path_factory.mktemp("invites"), settings=settings) as server:
        server.stock_accounts(15)
        yield server


@pytest.fixture(scope="module")
def admin(inviting: Server) -> Account:
    return inviting.account()


@pytest.fixture(autouse=True)
def _no_stranger_stays() -> Iterator[None]:
    yield
    close_strangers()


def token_of(uri: str) -> str:
    match = re.search(r"preauth=([^;\s]+)", uri)
    assert match is not None
    return match[1]


def contacts(phone: Phone) -> dict[str | None, str | None]:
    """The roster: contact -> subscription."""
    answer = ask(phone, "get", f"<query xmlns='{ns.ROSTER}'/>", to="")
    return {item.get("jid"): item.get("subscription") for item in answer.iter(f"{{{ns.ROSTER}}}item")}


def invited(server: Server, *arguments: str) -> str:
    return token_of(server.command("user", "invite", *arguments))


def test_it_is_offered(inviting: Server) -> None:
    ways = {f"{{{space}}}register" for space in (ns.REGISTER_FEATURE, ns.IBR_TOKEN, ns.INVITE)}

    assert ways == offered(stranger(inviting))


def test_an_operators_invitation_makes_one_account(inviting: Server) -> None:
    uri = inviting.command("user", "invite").strip()
    stream, late = stranger(inviting), stranger(inviting)

    assert re.fullmatch(r"xmpp:localhost\?register;preauth=[0-9a-f]{2}[A-Za-z0-9_-]{22}", uri)
    assert "result" == show(stream, token_of(uri)).get("type")
    assert "result" == show(late, token_of(uri)).get("type")
    assert "result" == register(stream, "invited1").get("type")
    stream.authenticate("invited1", PASSWORD)
    assert ("not-allowed", "") == error_of(register(late, "invited2"))
    assert ("item-not-found", "") == error_of(show(stranger(inviting), token_of(uri)))
    assert "invited2" not in inviting.command("user", "list")


def test_a_failed_registration_does_not_use_it_up(inviting: Server, admin: Account) -> None:
    token = invited(inviting)
    stream = stranger(inviting)
    show(stream, token)

    assert ("conflict", "") == error_of(register(stream, admin.name))
    assert "result" == register(stream, "invited3").get("type")


def test_a_name_is_kept_for_whom_it_was_given(inviting: Server) -> None:
    token, other = invited(inviting, "--name", "Reserved"), invited(inviting)
    stream, thief = stranger(inviting), stranger(inviting)
    show(thief, other)
    show(stream, token)

    assert ("conflict", "") == error_of(register(thief, "reserved"))
    assert ("not-acceptable", "") == error_of(register(stream, "another"))
    fields = say(stream, "get")
    assert "reserved" == fields.findtext(f"{{{ns.REGISTER}}}query/{{{ns.REGISTER}}}username")
    assert "result" == register(stream, "reserved").get("type")
    with pytest.raises(AssertionError, match="exists already"):
        inviting.command("user", "invite", "--name", "reserved")


@pytest.mark.parametrize("token", ["", "x", "zz" + "a" * 22, "ff" + "a" * 22, "00" + "a" * 22, "00" + "a" * 5000])
def test_a_wrong_token_is_unknown(inviting: Server, token: str) -> None:
    condition, _ = error_of(show(stranger(inviting), token))

    assert condition == ("item-not-found" if token else "bad-request")


def test_without_a_token_nobody_registers(inviting: Server) -> None:
    assert ("not-allowed", "") == error_of(register(stranger(inviting), "nobody"))


def test_a_user_invites_a_contact(inviting: Server) -> None:
    account = inviting.account()
    answer = command(online(inviting, account), INVITE)
    uri = values(answer, "uri")[0]
    stream = stranger(inviting)

    assert re.fullmatch(rf"xmpp:{account.jid}\?roster;preauth=[^;]+;ibr=y", uri)
    assert [f"https://localhost/invite#{token_of(uri)}"] == values(answer, "landing-url")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", values(answer, "expire")[0])
    show(stream, token_of(uri))
    assert "result" == register(stream, f"friend-of-{account.name}").get("type")
    assert {f"friend-of-{account.name}@localhost": "both"} == contacts(online(inviting, account))
    assert {account.jid: "both"} == contacts(online(inviting, Account(f"friend-of-{account.name}")))


def test_the_oldest_of_too_many_goes(inviting: Server) -> None:
    phone = online(inviting, inviting.account())
    tokens = [token_of(values(command(phone, INVITE), "uri")[0]) for _ in range(4)]
    found = [show(stranger(inviting), token).get("type") for token in tokens]

    assert ["error", "result", "result", "result"] == found


def test_an_invitation_goes_with_its_inviters_account(inviting: Server) -> None:
    account = inviting.account()
    token = token_of(values(command(online(inviting, account), INVITE), "uri")[0])
    inviting.command("user", "delete", account.jid)

    assert ("item-not-found", "") == error_of(show(stranger(inviting), token))


def test_an_admin_invites_by_name_and_users_do_not(inviting: Server, admin: Account) -> None:
    boss, user = online(inviting, admin), online(inviting, inviting.account())
    uri = values(run(boss, CREATE, username="named"), "uri")[0]

    assert uri.startswith("xmpp:named@localhost?register;preauth=")
    assert ("forbidden", "") == error_of(command(user, CREATE))
    assert ("conflict", "") == error_of(run(boss, CREATE, username=admin.name))
    assert ("not-acceptable", "") == error_of(run(boss, CREATE, username="a@b"))
    listing = ask(user, "get", f"<query xmlns='{ns.DISCO_ITEMS}' node='{ns.COMMANDS}'/>")
    assert {INVITE} == {item.get("node") for item in listing.iter(f"{{{ns.DISCO_ITEMS}}}item")}


def test_only_admins_invite_by_default(server: Server) -> None:
    assert ("forbidden", "") == error_of(command(online(server, server.account()), INVITE))
